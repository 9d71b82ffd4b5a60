package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// What the authorization server must do, by the numbers of the requirements.
func TestAuthorizationServerRequirements(t *testing.T) {
	issuer := start(t, server.Fetching{})
	user := alice()
	metadata := get(t, issuer+"/.well-known/oauth-authorization-server")
	// A client that a user has allowed: for a stranger, errors are a page, so that the server is no
	// open redirector.
	client := tokens(t, issuer, user).Client
	fails := func(t *testing.T, want string, more ...string) {
		t.Helper()
		if got := refused(t, user, request(issuer, client, more...)); got.Get("error") != want {
			t.Errorf("%q: got %v, want %s", more, got, want)
		}
	}
	t.Run("M01 codes with S256 only", func(t *testing.T) {
		fails(t, "invalid_request", "code_challenge", "", "code_challenge_method", "")
		fails(t, "invalid_request", "code_challenge_method", "plain")
		fails(t, "unsupported_response_type", "response_type", "token")
		if got := postForm(t, issuer+"/oauth2/token", url.Values{"grant_type": {"password"}, "client_id": {client}, "username": {"alice"}, "password": {"wonderland-42"}}); got.Status != 400 || got.text("error") != "unsupported_grant_type" && got.text("error") != "unauthorized_client" {
			t.Errorf("password: %d %v", got.Status, got.Body)
		}
		if !slices.Equal(metadata.list("response_types_supported"), []string{"code"}) || slices.Contains(metadata.list("grant_types_supported"), "password") {
			t.Error(metadata.Body)
		}
		at, err := user.Open(request(issuer, client))
		if err != nil {
			t.Fatal(err)
		}
		if got := exchange(t, issuer, client, at.URL.Query().Get("code"), "code_verifier", strings.ToUpper(verifier)); got.text("error") != "invalid_grant" {
			t.Errorf("another verifier: %d %v", got.Status, got.Body)
		}
	})
	t.Run("M02 M03 documents and registration", func(t *testing.T) {
		if metadata.Body["client_id_metadata_document_supported"] != true || metadata.text("registration_endpoint") == "" {
			t.Error(metadata.Body)
		}
	})
	t.Run("M04 M22 metadata", func(t *testing.T) {
		if metadata.Status != 200 || metadata.text("issuer") != issuer || !slices.Equal(metadata.list("code_challenge_methods_supported"), []string{"S256"}) {
			t.Error(metadata.Body)
		}
	})
	t.Run("M05 iss in each answer", func(t *testing.T) {
		if metadata.Body["authorization_response_iss_parameter_supported"] != true {
			t.Error(metadata.Body)
		}
		for _, want := range []string{"", "access_denied", "invalid_scope"} {
			user.Deny = want == "access_denied"
			scope := scopeCall
			if want == "invalid_scope" {
				scope = "x"
			}
			got := refused(t, user, request(issuer, client, "scope", scope))
			if got.Get("iss") != issuer || got.Get("error") != want || got.Get("state") != "a state" {
				t.Errorf("%q: %v", want, got)
			}
		}
		user.Deny = false
	})
	t.Run("M06 redirects are exact", func(t *testing.T) {
		for _, uri := range []string{callback + "/", callback + "?x=1", strings.Replace(callback, "http:", "https:", 1), "https://evil.example/callback"} {
			fails(t, "page", "redirect_uri", uri)
		}
		fails(t, "invalid_scope", "scope", "x") // the other errors do redirect
		if got := refused(t, alice(), request(issuer, register(t, issuer, nil).text("client_id"), "scope", "x")); got.Get("error") != "page" {
			t.Errorf("to a client that nobody knows: %v", got)
		}
		for _, uri := range []string{"http://client.example/callback", "http://127.0.0.1.evil.example/callback", "javascript:alert(1)"} {
			if got := register(t, issuer, map[string]any{"redirect_uris": []string{uri}}); got.Status != 400 {
				t.Errorf("%s: %d %v", uri, got.Status, got.Body)
			}
		}
	})
	t.Run("M07 refresh tokens rotate", func(t *testing.T) {
		first := tokens(t, issuer, user)
		second := refresh(t, issuer, first)
		next := pair{first.Client, second.text("access_token"), second.text("refresh_token")}
		third := refresh(t, issuer, next)
		if second.Status != 200 || third.Status != 200 || next.Refresh == first.Refresh || third.text("refresh_token") == next.Refresh {
			t.Errorf("%d, %d", second.Status, third.Status)
		}
		if got := refresh(t, issuer, first); got.text("error") != "invalid_grant" {
			t.Errorf("the first one again: %d %v", got.Status, got.Body)
		}
		if got := send(t, "POST", issuer, "Authorization", "Bearer "+third.text("access_token")); got.StatusCode != 401 {
			t.Errorf("after the reuse: %d", got.StatusCode)
		}
	})
	t.Run("M08 short tokens", func(t *testing.T) {
		at, err := user.Open(request(issuer, client))
		if err != nil {
			t.Fatal(err)
		}
		if got := exchange(t, issuer, client, at.URL.Query().Get("code")); got.Body["expires_in"] == nil || got.Body["expires_in"].(float64) > 3600 {
			t.Error(got.Body["expires_in"])
		}
		fails(t, "invalid_scope", "scope", scopeCall+" offline_access") // and so it is not listed
		if slices.Contains(metadata.list("scopes_supported"), "offline_access") {
			t.Error(metadata.Body)
		}
	})
	t.Run("M14 resource at each endpoint", func(t *testing.T) {
		at, err := user.Open(request(issuer, client))
		if err != nil {
			t.Fatal(err)
		}
		got := exchange(t, issuer, client, at.URL.Query().Get("code"), "resource", issuer+"/mcp")
		p := pair{client, got.text("access_token"), got.text("refresh_token")}
		if again := refresh(t, issuer, p, "resource", issuer+"/mcp"); got.Status != 200 || again.Status != 200 {
			t.Errorf("%v, then %v", got.Body, again.Body)
		}
		fails(t, "invalid_target", "resource", "https://other.example/mcp")
		fails(t, "invalid_target", "resource", issuer+"/mcp/")
	})
	t.Run("M20 spellings of the resource", func(t *testing.T) {
		shout := "HTTP" + strings.TrimPrefix(issuer, "http") + "/mcp"
		if got := tokens(t, issuer, user, "resource", shout); send(t, "POST", issuer, "Authorization", "Bearer "+got.Access).StatusCode != 200 {
			t.Error("the token is refused")
		}
	})
}

// What the MCP server must do.
func TestResourceServerRequirements(t *testing.T) {
	issuer := start(t, server.Fetching{})
	user := alice()
	document := get(t, issuer+"/.well-known/oauth-protected-resource/mcp")
	challenge := func(t *testing.T, want int, headers ...string) string {
		t.Helper()
		got := send(t, "POST", issuer, headers...)
		if got.StatusCode != want || len(got.Header.Values("WWW-Authenticate")) != 1 {
			t.Errorf("%d %q, want %d", got.StatusCode, got.Header.Values("WWW-Authenticate"), want)
		}
		return got.Header.Get("WWW-Authenticate")
	}
	at := `resource_metadata="` + issuer + `/.well-known/oauth-protected-resource/mcp"`
	t.Run("M10 document", func(t *testing.T) {
		if document.Status != 200 || document.text("resource") != issuer+"/mcp" || !slices.Equal(document.list("authorization_servers"), []string{issuer}) || !slices.Equal(document.list("bearer_methods_supported"), []string{"header"}) {
			t.Error(document.Body)
		}
	})
	t.Run("M11 M12 M17 challenge", func(t *testing.T) {
		if got := challenge(t, 401); got != "Bearer "+at+`, scope="tools:call"` {
			t.Error(got)
		}
		if !slices.Equal(document.list("scopes_supported"), []string{scopeCall}) {
			t.Error(document.Body)
		}
	})
	t.Run("M13 missing scope", func(t *testing.T) {
		p := tokens(t, issuer, user, "scope", "")
		if got := challenge(t, 403, "Authorization", "Bearer "+p.Access); got != `Bearer error="insufficient_scope", scope="tools:call", `+at {
			t.Error(got)
		}
	})
	t.Run("M15 tokens of another server", func(t *testing.T) {
		other := tokens(t, start(t, server.Fetching{}), alice())
		if got := challenge(t, 401, "Authorization", "Bearer "+other.Access); !strings.Contains(got, "invalid_token") {
			t.Error(got)
		}
	})
	p := tokens(t, issuer, user)
	t.Run("M16 invalid and malformed", func(t *testing.T) {
		if got := challenge(t, 401, "Authorization", "Bearer x"+p.Access); !strings.Contains(got, `error="invalid_token"`) {
			t.Error(got)
		}
		if got := send(t, "POST", issuer, "Authorization", "Bearer "+p.Access, "Authorization", "Bearer "+p.Access); got.StatusCode != 400 {
			t.Error(got.StatusCode)
		}
	})
	t.Run("M21 a broader scope", func(t *testing.T) {
		store := memory.New(nil)
		scheme, err := oauth2.New("https://as.example", store, &oauth2.Options{Audience: "https://tools.example/mcp"})
		if err != nil {
			t.Fatal(err)
		}
		mux := authz.NewMux(authn.New(authn.Chain{authntest.Forced(scheme)}, nil)).RequireScopes()
		mux.HandleFunc("POST /mcp", func(http.ResponseWriter, *http.Request) {}, authz.Or(authz.HasScope("tools"), authz.HasScope(scopeCall)))
		for scope, want := range map[string]int{"tools": 200, scopeCall: 200, "profile": 403} {
			r := authntest.As(httptest.NewRequest("POST", "https://tools.example/mcp", nil), authn.Identity{Scheme: scheme.Name(), Subject: "id-alice", Client: "c", Scopes: []string{scope}})
			resp := httptest.NewRecorder()
			mux.ServeHTTP(resp, r)
			if resp.Code != want {
				t.Errorf("%s: %d, want %d", scope, resp.Code, want)
			}
		}
	})
	t.Run("M18 no token in the URL or the body", func(t *testing.T) {
		got := postForm(t, issuer+"/mcp?access_token="+p.Access, url.Values{"access_token": {p.Access}})
		if got.Status != 401 {
			t.Errorf("%d %v", got.Status, got.Body)
		}
	})
}
