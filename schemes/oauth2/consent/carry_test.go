package consent_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const formType = "application/x-www-form-urlencoded"

// postTo sends a form to a page as that identity, nil for nobody.
func postTo(h http.Handler, id *authn.Identity, target, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", target, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	if id != nil {
		r = authntest.As(r, *id)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// A request by POST is sent on as a GET of the configured address, or refused with a page.
func TestCarried_attack_268(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) { o.Endpoints.Authorize = "/t/authorize" })
	h := p.Authorize("/login")
	const here = oauthtest.Issuer + "/t/authorize"
	good := oauthtest.Query("app")
	t.Run("edge_B08/carried", func(t *testing.T) {
		body := good + "&resource=https%3A%2F%2Fapi.example&resource=https%3A%2F%2Ffiles.example&unknown=x&refresh_token=y&nonce="
		for _, target := range []string{here, "https://evil.example/t/authorize", "/x", "//evil.example/authorize", `/\evil.example/authorize`, "https://auth.example//evil.example/%2e%2e/"} {
			r := httptest.NewRequest("POST", "/", strings.NewReader(body))
			r.Header.Set("Content-Type", formType+"; charset=UTF-8")
			r.Header.Set("X-Forwarded-Host", "evil.example")
			if u, err := url.Parse(target); err == nil {
				r.URL, r.Host, r.RequestURI = u, u.Host, target
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			to, err := url.Parse(rec.Header().Get("Location"))
			oauthtest.Must(t, err)
			v := to.Query()
			if rec.Code != 303 || !strings.HasPrefix(to.String(), here+"?") || rec.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d to %s", target, rec.Code, to)
			}
			if v.Get("state") != "s&t=ä" || len(v["resource"]) != 2 || v.Has("unknown") || v.Has("refresh_token") || v.Has("nonce") {
				t.Errorf("%s: %v", target, v)
			}
		}
	})
	long := func(n int) string { return good + "&ui_locales=" + strings.Repeat("a", n) }
	for name, c := range map[string]struct{ target, kind, body string }{
		"JSON": {here, "application/json", `{"client_id":"app"}`}, "multipart": {here, "multipart/form-data; boundary=x", good}, "text": {here, "text/plain", good}, "no type": {here, "", good},
		"doubled":            {here, formType, good + "&client_id=other"},
		"doubled, unknown":   {here, formType, good + "&x=1&x=2"},
		"doubled, empty":     {here, formType, good + "&client_id="},
		"9 KiB":              {here, formType, long(9 << 10)},
		"65 KiB":             {here, formType, long(65 << 10)},
		"malformed":          {here, formType, good + "&x=%zz"},
		"semicolon":          {here, formType, good + ";x=y"},
		"NUL":                {here, formType, good + "&nonce=%00"},
		"no UTF-8":           {here, formType, good + "&nonce=%ff"},
		"with a query":       {here + "?client_id=app", formType, good},
		"another client's":   {here + "?" + oauthtest.Query("spa"), formType, good},
		"with an empty one":  {here + "?", formType, good},
		"a client's secret":  {here, formType, good + "&client_secret=hush"},
		"an assertion":       {here, formType, good + "&client_assertion=hush"},
		"a user's name":      {here, formType, good + "&username=hush"},
		"a user's password":  {here, formType, good + "&password=hush"},
		"a form without one": {here, formType, "decision=allow"},
	} {
		t.Run("edge_B08/P4 "+name, func(t *testing.T) {
			rec := postTo(h, nil, c.target, c.kind, c.body)
			if (rec.Code != 400 && name != "a form without one") || rec.Header().Get("Location") != "" || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") || strings.Contains(rec.Body.String(), "hush") {
				t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
			if strings.Contains(p.Log.String(), "hush") {
				t.Error("the log has it")
			}
		})
	}
	t.Run("edge_B08/empty secrets are omitted", func(t *testing.T) {
		if rec := postTo(h, nil, here, formType, good+"&client_secret=&password="); rec.Code != 303 || strings.Contains(rec.Header().Get("Location"), "secret") {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
	})
	t.Run("edge_B08/the longest survives the login", func(t *testing.T) {
		n := 0
		for ; postTo(h, nil, here, formType, long(n+64)).Code == 303; n += 64 {
		}
		rec := postTo(h, nil, here, formType, long(n))
		to, err := url.Parse(rec.Header().Get("Location"))
		oauthtest.Must(t, err)
		if len(to.RequestURI()) > 8<<10 || len(to.RequestURI()) < 8<<10-64 { // what session.SafeNext takes
			t.Errorf("%d bytes", len(to.RequestURI()))
		}
	})
	t.Run("edge_B08/no address", func(t *testing.T) {
		none := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) { o.Endpoints.Authorize = "-" })
		if rec := postTo(none.Authorize("/login"), nil, here, formType, good); rec.Code != 400 || rec.Header().Get("Location") != "" {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
	})
	t.Run("edge_B08/a pushed one", func(t *testing.T) {
		var pushed struct {
			URI string `json:"request_uri"`
		}
		oauthtest.Must(t, json.Unmarshal([]byte(p.Post(p.PushedAuthorization(), "app", "response_type", "code", "redirect_uri", oauthtest.Redirect, "code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256").Body), &pushed))
		rec := postTo(h, nil, here, formType, url.Values{"client_id": {"app"}, "request_uri": {pushed.URI}, "scope": {"admin"}}.Encode())
		_, q, _ := strings.Cut(rec.Header().Get("Location"), "?")
		oauthtest.HandleOf(t, p.Authorizes(p.Alice("s1"), "GET", q, ""))
	})
	t.Run("edge_B08/next is of this host", func(t *testing.T) {
		for target, want := range map[string]string{"//evil.example/a?client_id=app": "/evil.example/a", "///evil.example/a": "/evil.example/a", "/t/authorize": "/t/authorize"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.URL = &url.URL{Path: strings.SplitN(target, "?", 2)[0], RawQuery: good}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			to, err := url.Parse(rec.Header().Get("Location"))
			oauthtest.Must(t, err)
			if next := to.Query().Get("next"); !strings.HasPrefix(next, want+"?") {
				t.Errorf("%s: next is %q", target, next)
			}
		}
	})
}

// An id_token_hint that came by POST is in no address in clear, and for a short time.
func TestSealedHint(t *testing.T) {
	first, second := keys.Generate(), keys.Generate()
	ringOf := func(masters ...[]byte) *keys.Ring {
		ring, err := keys.NewRing(masters...)
		oauthtest.Must(t, err)
		return ring
	}
	for name, ring := range map[string]*keys.Ring{"a ring": ringOf(first), "no ring": nil} {
		t.Run("edge_B08/"+name, func(t *testing.T) {
			p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) { o.Keys = ring })
			_, id := p.Login("s1")
			carried := func(hint string) string {
				rec := postTo(p.Authorize("/login"), nil, oauthtest.Issuer+"/oauth2/authorize", formType, oauthtest.Query("app", "scope", "openid", "id_token_hint", hint))
				if rec.Code != 303 {
					t.Fatalf("%d %s", rec.Code, rec.Body)
				}
				_, q, _ := strings.Cut(rec.Header().Get("Location"), "?")
				return q
			}
			q := carried(id)
			for part := range strings.SplitSeq(id, ".") {
				if strings.Contains(q, part) {
					t.Errorf("the address holds %s", part)
				}
			}
			if q == carried(id) {
				t.Error("two seals are alike")
			}
			oauthtest.HandleOf(t, p.Authorizes(p.Alice("s1"), "GET", q, ""))
			bob := *p.Alice("s1")
			bob.Subject = "id-bob"
			if v := oauthtest.Sent(t, p.Authorizes(&bob, "GET", q, ""), oauthtest.Redirect); v.Get("error") != "login_required" {
				t.Errorf("another user: %v", v)
			}
			// Who has to log in has time for it.
			toLogin, err := url.Parse(p.Authorizes(nil, "GET", q, "").Header().Get("Location"))
			oauthtest.Must(t, err)
			_, afterLogin, _ := strings.Cut(toLogin.Query().Get("next"), "?")
			v, err := url.ParseQuery(q)
			oauthtest.Must(t, err)
			hint := v.Get("id_token_hint")
			for _, bad := range []string{hint[:len(hint)-1], oauthtest.Changed(hint), "sealed.", "sealed", "sealed..", "sealed.x.y", hint + "A", strings.Replace(hint, "sealed.", "sealed.0", 1)} {
				if v := oauthtest.Sent(t, p.Authorizes(p.Alice("s1"), "GET", oauthtest.Query("app", "scope", "openid", "id_token_hint", bad), ""), oauthtest.Redirect); v.Get("error") != "login_required" {
					t.Errorf("%q: %v", bad, v)
				}
			}
			p.Pass(2*time.Minute - time.Second)
			oauthtest.HandleOf(t, p.Authorizes(p.Alice("s1"), "GET", q, ""))
			p.Pass(time.Second)
			if v := oauthtest.Sent(t, p.Authorizes(p.Alice("s1"), "GET", q, ""), oauthtest.Redirect); v.Get("error") != "login_required" {
				t.Errorf("after two minutes: %v", v)
			}
			oauthtest.HandleOf(t, p.Authorizes(p.Alice("s1"), "GET", afterLogin, ""))
			p.Pass(10 * time.Minute)
			if v := oauthtest.Sent(t, p.Authorizes(p.Alice("s1"), "GET", afterLogin, ""), oauthtest.Redirect); v.Get("error") != "login_required" {
				t.Errorf("after a long time at the login: %v", v)
			}
		})
	}
	t.Run("edge_B08/keys rotate", func(t *testing.T) {
		db := memory.New(nil)
		old := oauthtest.NewProvider(t, db, jose.ES256, func(o *oauthtest.Options) { o.Keys = ringOf(first) })
		_, id := old.Login("s1")
		rec := postTo(old.Authorize("/login"), nil, oauthtest.Issuer+"/oauth2/authorize", formType, oauthtest.Query("app", "scope", "openid", "id_token_hint", id))
		_, q, _ := strings.Cut(rec.Header().Get("Location"), "?")
		for name, c := range map[string]struct {
			ring *keys.Ring
			good bool
		}{"an older key": {ringOf(second, first), true}, "another key": {ringOf(second), false}, "another process": {nil, false}} {
			o := oauthtest.Options{Scopes: map[string]string{"read": "", "profile": "", "email": ""}, SigningKeys: old.Keys, OpenID: &oauthtest.OpenID{}, Keys: c.ring, Session: oauthtest.SessionOf, Clock: old.Clock}
			s, err := oauthtest.New(oauthtest.Issuer, db, &o)
			oauthtest.Must(t, err)
			rec := httptest.NewRecorder()
			s.Authorize("/login").ServeHTTP(rec, authntest.As(httptest.NewRequest("GET", "/oauth2/authorize?"+q, nil), *old.Alice("s1")))
			if (rec.Code == 200) != c.good || !c.good && !strings.Contains(rec.Header().Get("Location"), "login_required") {
				t.Errorf("%s: %d %v", name, rec.Code, rec.Header())
			}
		}
	})
}

// Errors take nobody to a client that registered itself and that the user never allowed
// anything (RFC 9700 section 4.11.2).
func TestNoRedirector(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithSessions)
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{
			ID: "self", Name: "Self <b>made</b>", Method: oauth2.None, Native: true, Registration: storage.DigestOf("x"), Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"},
			RedirectURIs: []string{"https://phish.example/cb", "com.example.self:/cb"},
		}))
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{
			ID: "ours", Method: oauth2.None, Registration: storage.DigestOf("y"), Trusted: true, Grants: []string{oauth2.AuthorizationCode}, Scopes: []string{"read"}, RedirectURIs: []string{oauthtest.Redirect},
		}))
		ask := func(pairs ...string) string {
			return oauthtest.Query("self", append([]string{"redirect_uri", "https://phish.example/cb", "scope", "read"}, pairs...)...)
		}
		alice := w.Alice("s1")
		deny := func() *httptest.ResponseRecorder {
			return w.Authorizes(alice, "POST", "", "decision=deny&handle="+oauthtest.HandleOf(t, w.Authorizes(alice, "GET", ask(), "")))
		}
		refused := map[string]func() *httptest.ResponseRecorder{
			"response type": func() *httptest.ResponseRecorder {
				return w.Authorizes(alice, "GET", ask("response_type", "x"), "")
			},
			"nobody":         func() *httptest.ResponseRecorder { return w.Authorizes(nil, "GET", ask("response_type", "x"), "") },
			"nobody, silent": func() *httptest.ResponseRecorder { return w.Authorizes(nil, "GET", ask("prompt", "none"), "") },
			"silent":         func() *httptest.ResponseRecorder { return w.Authorizes(alice, "GET", ask("prompt", "none"), "") },
			"denied":         deny,
			"a scope":        func() *httptest.ResponseRecorder { return w.Authorizes(alice, "GET", ask("scope", "admin"), "") },
			"a private scheme": func() *httptest.ResponseRecorder {
				return w.Authorizes(alice, "GET", ask("scope", "admin", "redirect_uri", "com.example.self:/cb"), "")
			},
		}
		for name, f := range refused {
			t.Run("G2 "+name, func(t *testing.T) {
				rec := f()
				body := rec.Body.String()
				if rec.Code != 400 || rec.Header().Get("Location") != "" || !strings.Contains(body, `href="`) || strings.Contains(body, "<b>made") || strings.Contains(body, "ZgotmplZ") ||
					!strings.Contains(body, "error=") || rec.Header().Get("Referrer-Policy") != "no-referrer" {
					t.Errorf("%d %v %s", rec.Code, rec.Header(), body)
				}
			})
		}
		t.Run("G2 checked clients", func(t *testing.T) {
			for _, q := range []string{oauthtest.Query("app", "response_type", "x"), oauthtest.Query("app", "prompt", "none"), oauthtest.Query("ours", "response_type", "x")} {
				oauthtest.Sent(t, w.Authorizes(nil, "GET", q, ""), oauthtest.Redirect)
			}
		})
		t.Run("G2 fault", func(t *testing.T) {
			w.DB.Fail.Store(true)
			defer w.DB.Fail.Store(false)
			if rec := w.Authorizes(alice, "GET", ask("prompt", "none"), ""); rec.Code != 503 {
				t.Errorf("%d", rec.Code)
			}
		})
		t.Run("G2 after a grant", func(t *testing.T) {
			v := oauthtest.Sent(t, w.Authorizes(alice, "POST", "", "decision=allow&handle="+oauthtest.HandleOf(t, w.Authorizes(alice, "GET", ask(), ""))), "https://phish.example/cb")
			got := w.Post(w.Token(), "", "grant_type", "authorization_code", "client_id", "self", "code", v.Get("code"), "redirect_uri", "https://phish.example/cb", "code_verifier", oauthtest.Verifier)
			if got.Status != 200 {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			for name, f := range refused {
				rec := f()
				if redirected := rec.Header().Get("Location") != ""; redirected != !strings.HasPrefix(name, "nobody") {
					t.Errorf("%s: %d %v", name, rec.Code, rec.Header())
				}
			}
		})
	})
}

// What a carried request may hold comes out as it went in, at the configured address, or not
// at all.
func FuzzCarried(f *testing.F) {
	for _, s := range []string{oauthtest.Query("app"), "handle=x", "client_id=a&client_id=b", "id_token_hint=eyJ.x.y", "a=%zz", "client_secret=x", "resource=a&resource=b", "decision=allow", "state=%0d%0aLocation:x"} {
		f.Add("/oauth2/authorize", s)
		f.Add("//evil.example/", s)
	}
	h := oauthtest.NewWorld(f, memory.New(nil), oauthtest.WithSessions).Authorize("/login")
	f.Fuzz(func(t *testing.T, path, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.URL.Path = path
		r.Header.Set("Content-Type", formType)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		to := rec.Header().Get("Location")
		switch {
		case rec.Code == 303 && strings.HasPrefix(to, oauthtest.Issuer+"/oauth2/authorize?"):
			v, err := url.ParseQuery(to[len(oauthtest.Issuer+"/oauth2/authorize?"):])
			if err != nil || len(to) > len(oauthtest.Issuer)+8<<10 || v.Has("client_secret") || v.Has("password") || v.Has("handle") {
				t.Errorf("%q: %s", body, to)
			}
		case rec.Code == 400 || rec.Code == 403 || rec.Code == 413:
			if to != "" {
				t.Errorf("%q: %d to %s", body, rec.Code, to)
			}
		default:
			t.Errorf("%q: %d to %s", body, rec.Code, to)
		}
	})
}
