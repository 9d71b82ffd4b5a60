package oauth2_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// login is Identity.Credential of a session of these tests.
type login struct {
	session string
	epoch   int64
}

func sessionOf(id authn.Identity) (string, int64, bool) {
	l, ok := id.Credential.(login)
	return l.session, l.epoch, ok
}

func withSessions(o *oauth2.Options) {
	o.Session = sessionOf
	o.Token = func(id authn.Identity) string { return "token of " + id.Subject }
}

// alice is who is logged in, in that session.
func (w *world) alice(session string) *authn.Identity {
	w.t.Helper()
	epoch, err := w.s.SubjectEpoch(w.t.Context(), "id-alice")
	must(w.t, err)
	return &authn.Identity{Subject: "id-alice", Scheme: "session", Credential: login{session, epoch}, AuthTime: w.clock(), User: &storage.User{ID: "id-alice", Name: "alice"}}
}

// authorize sends a request to the authorization endpoint as that identity, nil for nobody.
func (w *world) authorize(id *authn.Identity, method, query, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, issuer+"/oauth2/authorize?"+query, strings.NewReader(body))
	if method == "POST" {
		// A form without an action goes to the page's own address, parameters and all.
		r = httptest.NewRequest(method, issuer+"/oauth2/authorize?"+query, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if id != nil {
		r = authntest.As(r, *id)
	}
	rec := httptest.NewRecorder()
	w.Authorize("/login").ServeHTTP(rec, r)
	return rec
}

// query is a good request of the client, with changed parameters; "" takes one away.
func query(client string, pairs ...string) string {
	v := url.Values{"response_type": {"code"}, "client_id": {client}, "redirect_uri": {redirect}, "state": {"s&t=ä"}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Del(pairs[i])
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v.Encode()
}

var handleField = regexp.MustCompile(`name="handle" value="([^"]+)"`)

func handleOf(t testing.TB, rec *httptest.ResponseRecorder) string {
	t.Helper()
	m := handleField.FindStringSubmatch(rec.Body.String())
	if rec.Code != 200 || m == nil {
		t.Fatalf("no consent page: %d %s %s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	return html.UnescapeString(m[1])
}

// sent returns the parameters that a redirect to the redirect URI carries.
func sent(t testing.TB, rec *httptest.ResponseRecorder, to string) url.Values {
	t.Helper()
	at, text, ok := strings.Cut(rec.Header().Get("Location"), "?")
	v, err := url.ParseQuery(text)
	if rec.Code != http.StatusSeeOther || !ok || at != to || err != nil {
		t.Fatalf("%d to %q: %s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	return v
}

func TestAuthorize(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, withSessions)
		alice := w.alice("s1")
		rec := w.authorize(nil, "GET", query("app"), "")
		if to := rec.Header().Get("Location"); rec.Code != 303 || !strings.HasPrefix(to, "/login?next=%2Foauth2%2Fauthorize%3F") {
			t.Fatalf("nobody: %d %s", rec.Code, to)
		}
		rec = w.authorize(alice, "GET", query("app", "scope", "read write"), "")
		handle := handleOf(t, rec)
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
		answer := w.authorize(alice, "POST", query("app", "scope", "admin", "redirect_uri", "https://evil.example"), "handle="+handle+"&decision=allow")
		v := sent(t, answer, redirect)
		if v.Get("state") != "s&t=ä" || v.Get("iss") != issuer || !strings.HasPrefix(v.Get("code"), "vac_") || len(v) != 3 {
			t.Errorf("%v", v)
		}
		got := w.exchange("app", v.Get("code"))
		if got.Status != 200 || got.Scope != "read write" || w.status(got.Access) != 200 {
			t.Errorf("%+v", got)
		}
		t.Run("attack_146_double_submit", func(t *testing.T) {
			if rec := w.authorize(alice, "POST", "", "handle="+handle+"&decision=allow"); rec.Code != 400 || rec.Header().Get("Location") != "" {
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
		})
		denied := handleOf(t, w.authorize(alice, "GET", query("app"), ""))
		if v := sent(t, w.authorize(alice, "POST", "", "handle="+denied+"&decision=deny"), redirect); v.Get("error") != "access_denied" || v.Get("code") != "" || v.Get("iss") != issuer || v.Get("state") == "" {
			t.Errorf("%v", v)
		}
		t.Run("attack_147_attack_148_bound", func(t *testing.T) {
			bob := *alice
			bob.Subject = "id-bob"
			scoped := *alice
			scoped.Scopes = []string{"read"}
			foreign := *alice
			foreign.Issuer = "https://idp.example"
			handle := handleOf(t, w.authorize(alice, "GET", query("app"), ""))
			for what, id := range map[string]*authn.Identity{"another session": w.alice("s2"), "another user": &bob, "nobody": nil, "limited": &scoped, "another issuer's": &foreign} {
				if rec := w.authorize(id, "POST", "", "handle="+handle+"&decision=allow"); rec.Code != 403 || rec.Header().Get("Location") != "" {
					t.Errorf("%s: %d", what, rec.Code)
				}
			}
			// What the form could add counts for nothing.
			v := sent(t, w.authorize(alice, "POST", "", "handle="+handle+"&decision=allow&scope=write&client_id=other&redirect_uri=https%3A%2F%2Fevil.example&code_challenge=x"), redirect)
			if got := w.exchange("app", v.Get("code")); got.Status != 200 || got.Scope != "read" {
				t.Errorf("%+v", got)
			}
		})
		t.Run("too old, and junk", func(t *testing.T) {
			handle := handleOf(t, w.authorize(alice, "GET", query("app"), ""))
			w.pass(10 * time.Minute)
			for _, body := range []string{"handle=" + handle + "&decision=allow", "decision=allow", "handle=x&decision=allow"} {
				if rec := w.authorize(alice, "POST", "", body); rec.Code != 400 {
					t.Errorf("%.20s: %d", body, rec.Code)
				}
			}
			handle = handleOf(t, w.authorize(alice, "GET", query("app"), ""))
			if rec := w.authorize(alice, "POST", "", "handle="+handle+"&decision=perhaps"); rec.Code != 400 {
				t.Errorf("no decision: %d", rec.Code)
			}
		})
		t.Run("logged out in between", func(t *testing.T) {
			handle := handleOf(t, w.authorize(alice, "GET", query("app"), ""))
			_, err := w.s.BumpEpoch(t.Context(), "id-alice")
			must(t, err)
			if v := sent(t, w.authorize(alice, "POST", "", "handle="+handle+"&decision=allow"), redirect); v.Get("error") != "access_denied" || v.Get("code") != "" {
				t.Errorf("%v", v)
			}
		})
	})
}

// One form gives one code, however often it is sent.
func TestConsentRace(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, withSessions)
		alice := w.alice("s1")
		handle := handleOf(t, w.authorize(alice, "GET", query("app"), ""))
		codes := make([]string, 64)
		var wg sync.WaitGroup
		for i := range codes {
			wg.Go(func() {
				rec := w.authorize(alice, "POST", "", "handle="+handle+"&decision=allow")
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
	w := newWorld(t, memory.New(nil), withSessions)
	alice := w.alice("s1")
	must(t, w.s.CreateClient(t.Context(), storage.Client{ID: "two", Method: oauth2.None, Grants: []string{oauth2.AuthorizationCode}, RedirectURIs: []string{redirect, redirect + "2"}, Scopes: []string{"read"}}))
	must(t, w.s.CreateClient(t.Context(), storage.Client{ID: "off", Method: oauth2.None, Disabled: true, Grants: []string{oauth2.AuthorizationCode}, RedirectURIs: []string{redirect}}))
	must(t, w.s.CreateClient(t.Context(), storage.Client{ID: "machine", Method: oauth2.SecretBasic, Grants: []string{oauth2.ClientCredentials}, RedirectURIs: []string{redirect}}))
	// A page and no redirect: there is nowhere that could be trusted.
	for what, q := range map[string]string{
		"attack_133_other":         query("app", "redirect_uri", "https://evil.example/cb"),
		"attack_133_suffix":        query("app", "redirect_uri", "https://app.example.evil.example/cb"),
		"attack_133_script":        query("app", "redirect_uri", "javascript:alert(1)"),
		"attack_133_twice":         query("app") + "&redirect_uri=https%3A%2F%2Fevil.example",
		"attack_135_absent_of_two": query("two", "redirect_uri", ""),
		"attack_136_unknown":       query("nobody"),
		"attack_136_empty":         query(""),
		"attack_136_none":          query("app", "client_id", ""),
		"attack_136_twice":         query("app") + "&client_id=app",
		"attack_136_NUL":           query("app\x00"),
		"attack_136_disabled":      query("off"),
		"attack_136_html":          query("<script>alert(1)</script>"),
		"attack_139_state_twice":   query("app") + "&state=x",
		"attack_183_guessed":       query("app", "request_uri", "urn:ietf:params:oauth:request_uri:vpa_"+strings.Repeat("A", 49)),
	} {
		t.Run(what, func(t *testing.T) {
			rec := w.authorize(alice, "GET", q, "")
			if rec.Code != 400 || rec.Header().Get("Location") != "" || strings.Contains(rec.Body.String(), "<script") || !strings.Contains(rec.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
		})
	}
	// A refusal that the client is told.
	for what, c := range map[string]struct{ query, code string }{
		"attack_137_token":          {query("app", "response_type", "token"), "unsupported_response_type"},
		"attack_137_id_token":       {query("app", "response_type", "code id_token"), "unsupported_response_type"},
		"attack_137_missing":        {query("app", "response_type", ""), "invalid_request"},
		"attack_137_not_for_it":     {query("machine"), "unauthorized_client"},
		"attack_138_fragment":       {query("app", "response_mode", "fragment"), "invalid_request"},
		"attack_138_form_post":      {query("app", "response_mode", "form_post"), "invalid_request"},
		"attack_139_long_state":     {query("app", "state", strings.Repeat("s", 10<<10)), "invalid_request"},
		"attack_140_unknown":        {query("app", "scope", "unknown"), "invalid_scope"},
		"attack_140_not_for_it":     {query("app", "scope", "admin"), "invalid_scope"},
		"attack_141_none_public":    {query("spa", "code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		"attack_141_none":           {query("app", "code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		"attack_141_method_alone":   {query("app", "code_challenge", ""), "invalid_request"},
		"attack_141_plain":          {query("app", "code_challenge_method", "plain"), "invalid_request"},
		"attack_141_no_method":      {query("app", "code_challenge_method", ""), "invalid_request"},
		"attack_141_short":          {query("app", "code_challenge", strings.Repeat("a", 42)), "invalid_request"},
		"attack_141_long":           {query("app", "code_challenge", strings.Repeat("a", 129)), "invalid_request"},
		"attack_141_illegal":        {query("app", "code_challenge", strings.Repeat("a", 42)+"="), "invalid_request"},
		"attack_143_request":        {query("app", "request", "eyJ"), "request_not_supported"},
		"attack_143_request_uri":    {query("app", "request_uri", "https://evil.example/r"), "request_uri_not_supported"},
		"attack_144_none_and_login": {query("app", "prompt", "none login"), "invalid_request"},
		"attack_144_unknown":        {query("app", "prompt", "x"), "invalid_request"},
		"attack_144_max_age_x":      {query("app", "max_age", "x"), "invalid_request"},
		"attack_144_max_age_minus":  {query("app", "max_age", "-1"), "invalid_request"},
		"attack_144_max_age_huge":   {query("app", "max_age", "1e99"), "invalid_request"},
		"attack_144_consent":        {query("app", "prompt", "none"), "consent_required"},
		"resource":                  {query("app", "resource", "https://evil.example"), "invalid_target"},
	} {
		t.Run(what, func(t *testing.T) {
			v := sent(t, w.authorize(alice, "GET", c.query, ""), redirect)
			if v.Get("error") != c.code || v.Get("iss") != issuer || v.Get("code") != "" {
				t.Errorf("%v, want %s", v, c.code)
			}
		})
	}
	t.Run("attack_144_attack_150_none_and_nobody", func(t *testing.T) {
		if v := sent(t, w.authorize(nil, "GET", query("app", "prompt", "none"), ""), redirect); v.Get("error") != "login_required" || v.Get("iss") != issuer {
			t.Errorf("%v", v)
		}
	})
	t.Run("attack_144_login_again", func(t *testing.T) {
		for _, q := range []string{query("app", "prompt", "login"), query("app", "max_age", "0")} {
			rec := w.authorize(alice, "GET", q, "")
			next, err := url.QueryUnescape(strings.TrimPrefix(rec.Header().Get("Location"), "/login?next="))
			if rec.Code != 303 || err != nil || strings.Contains(next, "prompt") || strings.Contains(next, "max_age") {
				t.Fatalf("%d %s", rec.Code, rec.Header().Get("Location"))
			}
			_, again, _ := strings.Cut(next, "?")
			handleOf(t, w.authorize(alice, "GET", again, ""))
		}
		w.pass(time.Minute)
		old := *alice
		if rec := w.authorize(&old, "GET", query("app", "max_age", "59"), ""); !strings.HasPrefix(rec.Header().Get("Location"), "/login") {
			t.Errorf("an old login: %d %v", rec.Code, rec.Header())
		}
		handleOf(t, w.authorize(&old, "GET", query("app", "max_age", "60"), ""))
		handleOf(t, w.authorize(&old, "GET", query("app", "max_age", fmt.Sprint(int64(1)<<62)), ""))
	})
	t.Run("attack_149_status", func(t *testing.T) {
		handle := handleOf(t, w.authorize(alice, "GET", query("app"), ""))
		if rec := w.authorize(alice, "POST", "", "handle="+handle+"&decision=allow"); rec.Code != 303 {
			t.Errorf("%d", rec.Code)
		}
	})
	for _, method := range []string{"PUT", "DELETE"} {
		if rec := w.authorize(alice, method, query("app"), ""); rec.Code != 405 {
			t.Errorf("%s: %d", method, rec.Code)
		}
	}
	w.s.fail.Store(true)
	if rec := w.authorize(alice, "GET", query("app"), ""); rec.Code != 503 || rec.Header().Get("Location") != "" {
		t.Errorf("the store is down: %d", rec.Code)
	}
}

// A trusted client is the application's own, and optional PKCE is for confidential ones.
func TestAuthorizeOptions(t *testing.T) {
	w := newWorld(t, memory.New(nil), func(o *oauth2.Options) { withSessions(o); o.InsecureOptionalPKCE = true })
	must(t, w.s.CreateClient(t.Context(), storage.Client{ID: "ours", Method: oauth2.None, Trusted: true, Grants: []string{oauth2.AuthorizationCode}, RedirectURIs: []string{redirect + "?a=b"}, Scopes: []string{"read"}, Default: []string{"read"}}))
	alice := w.alice("s1")
	rec := w.authorize(alice, "GET", query("ours", "redirect_uri", redirect+"?a=b"), "")
	if to := rec.Header().Get("Location"); rec.Code != 303 || !strings.HasPrefix(to, redirect+"?a=b&code=vac_") {
		t.Errorf("%d %s", rec.Code, to)
	}
	rec = w.authorize(alice, "GET", query("ours", "redirect_uri", "", "prompt", "none"), "")
	v := rec.Header().Get("Location")
	_, code, _ := strings.Cut(v, "code=")
	code, _, _ = strings.Cut(code, "&")
	if got := w.post(w.Token(), "none", "grant_type", "authorization_code", "client_id", "ours", "code", code, "code_verifier", verifier); got.Status != 200 || got.Refresh != "" {
		t.Errorf("one registered URI, not named: %s: %+v", v, got)
	}
	handleOf(t, w.authorize(alice, "GET", query("ours", "redirect_uri", "", "prompt", "consent"), ""))
	handleOf(t, w.authorize(alice, "GET", query("app", "code_challenge", "", "code_challenge_method", ""), ""))
	if v := sent(t, w.authorize(alice, "GET", query("spa", "code_challenge", "", "code_challenge_method", ""), ""), redirect); v.Get("error") != "invalid_request" {
		t.Errorf("%v", v)
	}
}

func TestPush(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, withSessions)
		alice := w.alice("s1")
		push := func(client string, pairs ...string) reply {
			return w.post(w.Push(), client, append([]string{"response_type", "code", "redirect_uri", redirect, "state", "x", "code_challenge", challengeOf(verifier), "code_challenge_method", "S256"}, pairs...)...)
		}
		uriOf := func(got reply) string {
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
			return w.authorize(alice, "GET", v.Encode(), "")
		}
		uri := uriOf(push("app", "scope", "read write"))
		t.Run("attack_183_another_client", func(t *testing.T) {
			if rec := brings("other", uri); rec.Code != 400 || rec.Header().Get("Location") != "" {
				t.Errorf("%d", rec.Code)
			}
		})
		if rec := w.authorize(nil, "GET", url.Values{"client_id": {"app"}, "request_uri": {uri}}.Encode(), ""); rec.Code != 303 {
			t.Errorf("nobody is logged in: %d", rec.Code)
		}
		handle := handleOf(t, brings("app", uri, "scope", "read", "redirect_uri", "https://evil.example", "state", "y")) // parameters beside it count for nothing
		v := sent(t, w.authorize(alice, "POST", "", "handle="+handle+"&decision=allow"), redirect)
		if got := w.exchange("app", v.Get("code")); got.Scope != "read write" || v.Get("state") != "x" {
			t.Errorf("%+v, %v", got, v)
		}
		t.Run("attack_183_reuse_and_expiry", func(t *testing.T) {
			if rec := brings("app", uri); rec.Code != 400 {
				t.Errorf("again: %d", rec.Code)
			}
			late := uriOf(push("app"))
			w.pass(time.Minute)
			if rec := brings("app", late); rec.Code != 400 {
				t.Errorf("expired: %d", rec.Code)
			}
		})
		for what, c := range map[string]struct {
			got    reply
			status int
			code   string
		}{
			"attack_183_nested":    {push("app", "request_uri", uri), 400, "invalid_request"},
			"attack_183_redirect":  {w.post(w.Push(), "app", "response_type", "code", "redirect_uri", "https://evil.example", "code_challenge", challengeOf(verifier), "code_challenge_method", "S256"), 400, "invalid_request"},
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
