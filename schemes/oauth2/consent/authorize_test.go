package consent_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestAuthorize(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithSessions)
		alice := w.Alice("s1")
		rec := w.Authorizes(nil, "GET", oauthtest.Query("app"), "")
		if to := rec.Header().Get("Location"); rec.Code != 303 || !strings.HasPrefix(to, "/login?next=%2Foauth2%2Fauthorize%3F") {
			t.Fatalf("nobody: %d %s", rec.Code, to)
		}
		rec = w.Authorizes(alice, "GET", oauthtest.Query("app", "scope", "read write"), "")
		handle := oauthtest.HandleOf(t, rec)
		t.Run("attack_146_page", func(t *testing.T) {
			csp := rec.Header().Get("Content-Security-Policy")
			if !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "form-action") || rec.Header().Get("X-Frame-Options") != "DENY" || rec.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%v", rec.Header())
			}
			for _, text := range []string{"Write", "alice", "app.example", `name="csrfmiddlewaretoken" value="token of id-alice"`} {
				if !strings.Contains(rec.Body.String(), text) {
					t.Errorf("the page does not say %q", text)
				}
			}
		})
		answer := w.Authorizes(alice, "POST", oauthtest.Query("app", "scope", "admin", "redirect_uri", "https://evil.example"), "handle="+handle+"&decision=allow")
		v := oauthtest.Sent(t, answer, oauthtest.Redirect)
		if v.Get("state") != "s&t=ä" || v.Get("iss") != oauthtest.Issuer || !strings.HasPrefix(v.Get("code"), "vac_") || len(v) != 3 {
			t.Errorf("%v", v)
		}
		got := w.Exchange("app", v.Get("code"))
		if got.Status != 200 || got.Scope != "read write" || w.Status(got.Access) != 200 {
			t.Errorf("%+v", got)
		}
		t.Run("attack_146_double_submit", func(t *testing.T) {
			if rec := w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow"); rec.Code != 400 || rec.Header().Get("Location") != "" {
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
		})
		denied := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), ""))
		if v := oauthtest.Sent(t, w.Authorizes(alice, "POST", "", "handle="+denied+"&decision=deny"), oauthtest.Redirect); v.Get("error") != "access_denied" || v.Get("code") != "" || v.Get("iss") != oauthtest.Issuer || v.Get("state") == "" {
			t.Errorf("%v", v)
		}
		t.Run("attack_147_attack_148_bound", func(t *testing.T) {
			bob := *alice
			bob.Subject = "id-bob"
			scoped := *alice
			scoped.Scopes = []string{"read"}
			foreign := *alice
			foreign.Issuer = "https://idp.example"
			handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), ""))
			for what, id := range map[string]*authn.Identity{"another session": w.Alice("s2"), "another user": &bob, "nobody": nil, "limited": &scoped, "another issuer's": &foreign} {
				if rec := w.Authorizes(id, "POST", "", "handle="+handle+"&decision=allow"); rec.Code != 403 || rec.Header().Get("Location") != "" {
					t.Errorf("%s: %d", what, rec.Code)
				}
			}
			// What the form could add counts for nothing.
			v := oauthtest.Sent(t, w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow&scope=write&client_id=other&redirect_uri=https%3A%2F%2Fevil.example&code_challenge=x"), oauthtest.Redirect)
			if got := w.Exchange("app", v.Get("code")); got.Status != 200 || got.Scope != "read" {
				t.Errorf("%+v", got)
			}
		})
		t.Run("too old, and junk", func(t *testing.T) {
			handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), ""))
			w.Pass(10 * time.Minute)
			for _, body := range []string{"handle=" + handle + "&decision=allow", "decision=allow", "handle=x&decision=allow"} {
				if rec := w.Authorizes(alice, "POST", "", body); rec.Code != 400 {
					t.Errorf("%.20s: %d", body, rec.Code)
				}
			}
			handle = oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), ""))
			if rec := w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=perhaps"); rec.Code != 400 {
				t.Errorf("no decision: %d", rec.Code)
			}
		})
		t.Run("logged out in between", func(t *testing.T) {
			handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), ""))
			_, err := w.DB.BumpEpoch(t.Context(), "id-alice")
			oauthtest.Must(t, err)
			if v := oauthtest.Sent(t, w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow"), oauthtest.Redirect); v.Get("error") != "access_denied" || v.Get("code") != "" {
				t.Errorf("%v", v)
			}
		})
	})
}

// One form gives one code, however often it is sent.
func TestConsentRace(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithSessions)
		alice := w.Alice("s1")
		handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), ""))
		codes := make([]string, 64)
		var wg sync.WaitGroup
		for i := range codes {
			wg.Go(func() {
				rec := w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow")
				if _, text, ok := strings.Cut(rec.Header().Get("Location"), "code="); ok {
					codes[i] = text
				} else if rec.Code != 400 {
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
			})
		}
		wg.Wait()
		n := 0
		for _, code := range codes {
			if code != "" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d codes", n)
		}
	})
}

func TestAuthorizeRefuses(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	alice := w.Alice("s1")
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "two", Method: oauth2.None, Grants: []string{oauth2.AuthorizationCode}, RedirectURIs: []string{oauthtest.Redirect, oauthtest.Redirect + "2"}, Scopes: []string{"read"}}))
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "off", Method: oauth2.None, Disabled: true, Grants: []string{oauth2.AuthorizationCode}, RedirectURIs: []string{oauthtest.Redirect}}))
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "machine", Method: oauth2.SecretBasic, Grants: []string{oauth2.ClientCredentials}, RedirectURIs: []string{oauthtest.Redirect}}))
	// A page and no redirect: there is nowhere that could be trusted.
	for what, q := range map[string]string{
		"attack_133_other":         oauthtest.Query("app", "redirect_uri", "https://evil.example/cb"),
		"attack_133_suffix":        oauthtest.Query("app", "redirect_uri", "https://app.example.evil.example/cb"),
		"attack_133_script":        oauthtest.Query("app", "redirect_uri", "javascript:alert(1)"),
		"attack_133_twice":         oauthtest.Query("app") + "&redirect_uri=https%3A%2F%2Fevil.example",
		"attack_135_absent_of_two": oauthtest.Query("two", "redirect_uri", ""),
		"attack_136_unknown":       oauthtest.Query("nobody"),
		"attack_136_empty":         oauthtest.Query(""),
		"attack_136_none":          oauthtest.Query("app", "client_id", ""),
		"attack_136_twice":         oauthtest.Query("app") + "&client_id=app",
		"attack_136_NUL":           oauthtest.Query("app\x00"),
		"attack_136_disabled":      oauthtest.Query("off"),
		"attack_136_html":          oauthtest.Query("<script>alert(1)</script>"),
		"attack_139_state_twice":   oauthtest.Query("app") + "&state=x",
		"attack_183_guessed":       oauthtest.Query("app", "request_uri", "urn:ietf:params:oauth:request_uri:vpa_"+strings.Repeat("A", 49)),
	} {
		t.Run(what, func(t *testing.T) {
			rec := w.Authorizes(alice, "GET", q, "")
			if rec.Code != 400 || rec.Header().Get("Location") != "" || strings.Contains(rec.Body.String(), "<script") || !strings.Contains(rec.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
		})
	}
	// A refusal that the client is told.
	for what, c := range map[string]struct{ query, code string }{
		"attack_137_token":          {oauthtest.Query("app", "response_type", "token"), "unsupported_response_type"},
		"attack_137_id_token":       {oauthtest.Query("app", "response_type", "code id_token"), "unsupported_response_type"},
		"attack_137_missing":        {oauthtest.Query("app", "response_type", ""), "invalid_request"},
		"attack_137_not_for_it":     {oauthtest.Query("machine"), "unauthorized_client"},
		"attack_138_fragment":       {oauthtest.Query("app", "response_mode", "fragment"), "invalid_request"},
		"attack_138_form_post_jwt":  {oauthtest.Query("app", "response_mode", "form_post.jwt"), "invalid_request"},
		"attack_139_long_state":     {oauthtest.Query("app", "state", strings.Repeat("s", 10<<10)), "invalid_request"},
		"attack_140_unknown":        {oauthtest.Query("app", "scope", "unknown"), "invalid_scope"},
		"attack_140_not_for_it":     {oauthtest.Query("app", "scope", "admin"), "invalid_scope"},
		"attack_141_none_public":    {oauthtest.Query("spa", "code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		"attack_141_none":           {oauthtest.Query("app", "code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		"attack_141_method_alone":   {oauthtest.Query("app", "code_challenge", ""), "invalid_request"},
		"attack_141_plain":          {oauthtest.Query("app", "code_challenge_method", "plain"), "invalid_request"},
		"attack_141_no_method":      {oauthtest.Query("app", "code_challenge_method", ""), "invalid_request"},
		"attack_141_short":          {oauthtest.Query("app", "code_challenge", strings.Repeat("a", 42)), "invalid_request"},
		"attack_141_long":           {oauthtest.Query("app", "code_challenge", strings.Repeat("a", 129)), "invalid_request"},
		"attack_141_illegal":        {oauthtest.Query("app", "code_challenge", strings.Repeat("a", 42)+"="), "invalid_request"},
		"attack_143_request":        {oauthtest.Query("app", "request", "eyJ"), "request_not_supported"},
		"attack_143_request_uri":    {oauthtest.Query("app", "request_uri", "https://evil.example/r"), "request_uri_not_supported"},
		"attack_144_none_and_login": {oauthtest.Query("app", "prompt", "none login"), "invalid_request"},
		"attack_144_unknown":        {oauthtest.Query("app", "prompt", "x"), "invalid_request"},
		"attack_144_max_age_x":      {oauthtest.Query("app", "max_age", "x"), "invalid_request"},
		"attack_144_max_age_minus":  {oauthtest.Query("app", "max_age", "-1"), "invalid_request"},
		"attack_144_max_age_huge":   {oauthtest.Query("app", "max_age", "1e99"), "invalid_request"},
		"attack_144_consent":        {oauthtest.Query("app", "prompt", "none"), "consent_required"},
		"resource":                  {oauthtest.Query("app", "resource", "https://evil.example"), "invalid_target"},
	} {
		t.Run(what, func(t *testing.T) {
			v := oauthtest.Sent(t, w.Authorizes(alice, "GET", c.query, ""), oauthtest.Redirect)
			if v.Get("error") != c.code || v.Get("iss") != oauthtest.Issuer || v.Get("code") != "" {
				t.Errorf("%v, want %s", v, c.code)
			}
		})
	}
	t.Run("attack_144_attack_150_none_and_nobody", func(t *testing.T) {
		if v := oauthtest.Sent(t, w.Authorizes(nil, "GET", oauthtest.Query("app", "prompt", "none"), ""), oauthtest.Redirect); v.Get("error") != "login_required" || v.Get("iss") != oauthtest.Issuer {
			t.Errorf("%v", v)
		}
	})
	t.Run("attack_144_login_again", func(t *testing.T) {
		for _, q := range []string{oauthtest.Query("app", "prompt", "login"), oauthtest.Query("app", "max_age", "0")} {
			rec := w.Authorizes(alice, "GET", q, "")
			next, err := url.QueryUnescape(strings.TrimPrefix(rec.Header().Get("Location"), "/login?next="))
			if rec.Code != 303 || err != nil || strings.Contains(next, "prompt") || strings.Contains(next, "max_age") {
				t.Fatalf("%d %s", rec.Code, rec.Header().Get("Location"))
			}
			_, again, _ := strings.Cut(next, "?")
			oauthtest.HandleOf(t, w.Authorizes(alice, "GET", again, ""))
		}
		w.Pass(time.Minute)
		old := *alice
		if rec := w.Authorizes(&old, "GET", oauthtest.Query("app", "max_age", "59"), ""); !strings.HasPrefix(rec.Header().Get("Location"), "/login") {
			t.Errorf("an old login: %d %v", rec.Code, rec.Header())
		}
		oauthtest.HandleOf(t, w.Authorizes(&old, "GET", oauthtest.Query("app", "max_age", "60"), ""))
		oauthtest.HandleOf(t, w.Authorizes(&old, "GET", oauthtest.Query("app", "max_age", fmt.Sprint(int64(1)<<62)), ""))
	})
	t.Run("attack_149_status", func(t *testing.T) {
		handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), ""))
		if rec := w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow"); rec.Code != 303 {
			t.Errorf("%d", rec.Code)
		}
	})
	for _, method := range []string{"PUT", "DELETE"} {
		if rec := w.Authorizes(alice, method, oauthtest.Query("app"), ""); rec.Code != 405 {
			t.Errorf("%s: %d", method, rec.Code)
		}
	}
	w.DB.Fail.Store(true)
	if rec := w.Authorizes(alice, "GET", oauthtest.Query("app"), ""); rec.Code != 503 || rec.Header().Get("Location") != "" {
		t.Errorf("the store is down: %d", rec.Code)
	}
}

// A trusted client is the application's own, and optional PKCE is for confidential ones.
func TestAuthorizeOptions(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { oauthtest.WithSessions(o); o.InsecureOptionalPKCE = true })
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "ours", Method: oauth2.None, Trusted: true, Grants: []string{oauth2.AuthorizationCode}, RedirectURIs: []string{oauthtest.Redirect + "?a=b"}, Scopes: []string{"read"}, Default: []string{"read"}}))
	alice := w.Alice("s1")
	rec := w.Authorizes(alice, "GET", oauthtest.Query("ours", "redirect_uri", oauthtest.Redirect+"?a=b"), "")
	if to := rec.Header().Get("Location"); rec.Code != 303 || !strings.HasPrefix(to, oauthtest.Redirect+"?a=b&code=vac_") {
		t.Errorf("%d %s", rec.Code, to)
	}
	rec = w.Authorizes(alice, "GET", oauthtest.Query("ours", "redirect_uri", "", "prompt", "none"), "")
	v := rec.Header().Get("Location")
	_, code, _ := strings.Cut(v, "code=")
	code, _, _ = strings.Cut(code, "&")
	if got := w.Post(w.Token(), "none", "grant_type", "authorization_code", "client_id", "ours", "code", code, "code_verifier", oauthtest.Verifier); got.Status != 200 || got.Refresh != "" {
		t.Errorf("one registered URI, not named: %s: %+v", v, got)
	}
	oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("ours", "redirect_uri", "", "prompt", "consent"), ""))
	oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app", "code_challenge", "", "code_challenge_method", ""), ""))
	if v := oauthtest.Sent(t, w.Authorizes(alice, "GET", oauthtest.Query("spa", "code_challenge", "", "code_challenge_method", ""), ""), oauthtest.Redirect); v.Get("error") != "invalid_request" {
		t.Errorf("%v", v)
	}
}

func TestPush(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithSessions)
		alice := w.Alice("s1")
		push := func(client string, pairs ...string) oauthtest.Reply {
			return w.Post(w.PushedAuthorization(), client, append([]string{"response_type", "code", "redirect_uri", oauthtest.Redirect, "state", "x", "code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256"}, pairs...)...)
		}
		uriOf := func(got oauthtest.Reply) string {
			t.Helper()
			m := regexp.MustCompile(`"request_uri":"([^"]+)","expires_in":60`).FindStringSubmatch(got.Body)
			if got.Status != 201 || m == nil || got.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			return m[1]
		}
		brings := func(client, uri string, pairs ...string) *httptest.ResponseRecorder {
			v := url.Values{"client_id": {client}, "request_uri": {uri}}
			for i := 0; i < len(pairs); i += 2 {
				v.Set(pairs[i], pairs[i+1])
			}
			return w.Authorizes(alice, "GET", v.Encode(), "")
		}
		uri := uriOf(push("app", "scope", "read write"))
		t.Run("attack_183_another_client", func(t *testing.T) {
			if rec := brings("other", uri); rec.Code != 400 || rec.Header().Get("Location") != "" {
				t.Errorf("%d", rec.Code)
			}
		})
		if rec := w.Authorizes(nil, "GET", url.Values{"client_id": {"app"}, "request_uri": {uri}}.Encode(), ""); rec.Code != 303 {
			t.Errorf("nobody is logged in: %d", rec.Code)
		}
		handle := oauthtest.HandleOf(t, brings("app", uri, "scope", "read", "redirect_uri", "https://evil.example", "state", "y")) // parameters beside it count for nothing
		v := oauthtest.Sent(t, w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow"), oauthtest.Redirect)
		if got := w.Exchange("app", v.Get("code")); got.Scope != "read write" || v.Get("state") != "x" {
			t.Errorf("%+v, %v", got, v)
		}
		t.Run("attack_183_reuse_and_expiry", func(t *testing.T) {
			if rec := brings("app", uri); rec.Code != 400 {
				t.Errorf("again: %d", rec.Code)
			}
			late := uriOf(push("app"))
			w.Pass(time.Minute)
			if rec := brings("app", late); rec.Code != 400 {
				t.Errorf("expired: %d", rec.Code)
			}
		})
		for what, c := range map[string]struct {
			got    oauthtest.Reply
			status int
			code   string
		}{
			"attack_183_nested":    {push("app", "request_uri", uri), 400, "invalid_request"},
			"attack_183_redirect":  {w.Post(w.PushedAuthorization(), "app", "response_type", "code", "redirect_uri", "https://evil.example", "code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256"), 400, "invalid_request"},
			"attack_183_too_large": {push("app", "state", strings.Repeat("x", 100<<10)), 413, "invalid_request"},
			"attack_183_nobody":    {push("nobody"), 401, "invalid_client"},
			"scope":                {push("app", "scope", "admin"), 400, "invalid_scope"},
		} {
			t.Run(what, func(t *testing.T) {
				if c.got.Status != c.status || c.got.Error != c.code {
					t.Errorf("%d %s", c.got.Status, c.got.Body)
				}
			})
		}
	})
}
