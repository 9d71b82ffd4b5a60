package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/csrf"
)

var hidden = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"`)

// A user logs in and allows a client one scope. The client gets no other, and its tokens end if its
// code is used again.
func TestCodeFlow(t *testing.T) {
	var h http.Handler
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	defer s.Close()
	var err error
	if h, err = newServer(t.Context(), s.URL, csrf.Loopback()); err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasSuffix(r.URL.Path, "/callback") { // the client's own address
			return http.ErrUseLastResponse
		}
		return nil
	}}
	do := func(client *http.Client, method, target string, form url.Values, token string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if client == browser {
			r.Header.Set("Accept", "text/html")
			r.Header.Set("Origin", s.URL)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}

	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	const redirect = "http://127.0.0.1:9999/callback"
	authorize := s.URL + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"demo-public"}, "redirect_uri": {redirect}, "scope": {"profile"}, "state": {"xyz"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	response, body := do(browser, "GET", authorize, nil, "") // to the login page
	if response.Request.URL.Path != "/login" {
		t.Fatalf("anonymous: %d %s", response.StatusCode, response.Request.URL)
	}
	fields := url.Values{"username": {"alice"}, "password": {"wonderland-42"}}
	for _, m := range hidden.FindAllStringSubmatch(body, -1) {
		fields.Set(m[1], html.UnescapeString(m[2]))
	}
	response, body = do(browser, "POST", s.URL+"/login", fields, "") // back to the consent page
	if response.StatusCode != http.StatusOK || !strings.Contains(body, "See your name") || !strings.Contains(body, "Demo client") {
		t.Fatalf("consent page: %d %s", response.StatusCode, body)
	}
	fields = url.Values{"decision": {"allow"}}
	for _, m := range hidden.FindAllStringSubmatch(body, -1) {
		fields.Set(m[1], html.UnescapeString(m[2]))
	}
	response, body = do(browser, "POST", s.URL+"/oauth2/authorize", fields, "")
	callback, err := response.Location()
	if err != nil || callback.Query().Get("code") == "" || callback.Query().Get("state") != "xyz" {
		t.Fatalf("after the consent: %d %v %s", response.StatusCode, callback, body)
	}

	exchange := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"demo-public"}, "redirect_uri": {redirect},
		"code": {callback.Query().Get("code")}, "code_verifier": {verifier},
	}
	response, body = do(http.DefaultClient, "POST", s.URL+"/oauth2/token", exchange, "")
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(body), &tokens); err != nil || tokens.Access == "" || tokens.Refresh == "" {
		t.Fatalf("token: %d %s", response.StatusCode, body)
	}
	if response, body := do(http.DefaultClient, "GET", s.URL+"/api/profile", nil, tokens.Access); response.StatusCode != http.StatusOK || !strings.Contains(body, `"username":"alice"`) {
		t.Errorf("profile: %d %s", response.StatusCode, body)
	}
	if response, body := do(http.DefaultClient, "GET", s.URL+"/api/notes", nil, tokens.Access); response.StatusCode != http.StatusForbidden {
		t.Errorf("a scope that was not granted: %d %s", response.StatusCode, body)
	}
	// A code that is used twice ends what was issued from it.
	if response, body := do(http.DefaultClient, "POST", s.URL+"/oauth2/token", exchange, ""); response.StatusCode != http.StatusBadRequest {
		t.Errorf("the code again: %d %s", response.StatusCode, body)
	}
	if response, body := do(http.DefaultClient, "GET", s.URL+"/api/profile", nil, tokens.Access); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("the token of a code that was used twice: %d %s", response.StatusCode, body)
	}
}
