package cookie_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/cookie"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

const origin = "https://app.example"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSite(t testing.TB) *csrf.Site {
	site, err := csrf.New(origin, nil)
	must(t, err)
	return site
}

// request returns a request over https; headers are "Name: value".
func request(method string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	r.Host, r.TLS = "app.example", new(tls.ConnectionState)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

var errDown = errors.New("the database is down")

// bearer accepts "Bearer good" and fails for "Bearer down".
func bearer(r *http.Request) (authn.Identity, error) {
	if len(r.Header["Cookie"]) > 0 {
		return authn.Identity{}, errors.New("the wrapped scheme sees cookies")
	}
	text, err := authn.Credentials(r, "Bearer", "token")
	switch {
	case err != nil:
		return authn.Identity{}, err
	case text == "down":
		return authn.Identity{}, errDown
	case text == "other":
		return authn.Identity{}, authn.ErrUnrecognized
	case text == "slow":
		return authn.Identity{}, authn.Throttled(time.Second)
	case text != "good":
		e := authn.AuthenticationFailed("Invalid token.")
		e.Challenge = `Bearer error="invalid_token"`
		return authn.Identity{}, e
	}
	return authn.Identity{Subject: "1", Scheme: "jwt", Roles: []string{"admin"}}, nil
}

func TestAuthenticate_attack_257(t *testing.T) {
	s, err := cookie.New("access", newSite(t), authn.Func(bearer), bearers())
	must(t, err)
	handler := authn.New(authn.Chain{declared{authn.Func(func(r *http.Request) (authn.Identity, error) { // the header's own scheme
		if len(r.Header["Authorization"]) == 0 {
			return authn.Identity{}, authn.ErrNoCredentials
		}
		c := r.Clone(r.Context())
		delete(c.Header, "Cookie")
		return bearer(c)
	})}, s}, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		fmt.Fprint(w, id.Subject, " ", id.Scheme)
	}))
	const good = "Cookie: __Host-access=good"
	for name, tc := range map[string]struct {
		r    *http.Request
		want string // status, and the body if 200
	}{
		"anonymous":                          {request("GET"), "200  "},
		"GET":                                {request("GET", good), "200 1 cookie"},
		"edge_A05/a link of another site":    {request("GET", good, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"), "200 1 cookie"},
		"its own page":                       {request("POST", good, "Origin: "+origin, "Sec-Fetch-Site: same-origin"), "200 1 cookie"},
		"edge_A05/cross-site POST":           {request("POST", good, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"), "403"},
		"edge_A05/by Sec-Fetch-Site alone":   {request("DELETE", good, "Sec-Fetch-Site: same-site"), "403"},
		"edge_A05/by Referer alone":          {request("POST", good, "Referer: https://evil.example/"), "403"},
		"edge_A05/null":                      {request("POST", good, "Origin: null"), "403"},
		"edge_A05/a form that says nothing":  {request("POST", good, "Content-Type: application/x-www-form-urlencoded"), "403"},
		"JSON that says nothing":             {request("POST", good, "Content-Type: application/json"), "200 1 cookie"},
		"edge_A05/WebSocket":                 {request("GET", good, "Origin: https://evil.example", "Upgrade: websocket"), "403"},
		"edge_A05/WebSocket by a gateway":    {request("GET", good, "Origin: https://evil.example", "Sec-WebSocket-Key: x"), "403"},
		"edge_A05/another host":              {host(request("POST", good, "Origin: https://evil.example"), "evil.example"), "403"},
		"edge_A05/two cookies":               {request("GET", good+"; __Host-access=good"), "401"},
		"edge_A05/two lines":                 {request("GET", good, good), "401"},
		"edge_A05/another spelling":          {request("GET", "Cookie: __HOST-access=good"), "401"},
		"edge_A05/the other mode's name":     {request("GET", "Cookie: access=good"), "200  "},
		"edge_A05/__Secure-":                 {request("GET", "Cookie: __Secure-access=good"), "200  "},
		"edge_A05/a bad one":                 {request("GET", "Cookie: __Host-access=bad"), "401"},
		"edge_A05/empty":                     {request("GET", "Cookie: __Host-access="), "401"},
		"edge_A05/nobody's shape":            {request("GET", "Cookie: __Host-access=other"), "401"},
		"edge_A05/malformed":                 {request("GET", "Cookie: __Host-access=a b"), "401"},
		"edge_A05/quoted":                    {request("GET", `Cookie: __Host-access="good"`), "401"},
		"edge_A05/too long":                  {request("GET", "Cookie: __Host-access="+strings.Repeat("a", authn.MaxCredential+1)), "401"},
		"throttled":                          {request("GET", "Cookie: __Host-access=slow"), "429"},
		"edge_A05/the store is down":         {request("GET", "Cookie: __Host-access=down"), "503"},
		"edge_A05/plain http":                {plain(request("GET", good)), "401"},
		"edge_A05/a bad header beats it":     {request("GET", good, "Authorization: Bearer bad"), "401"},
		"edge_A05/a good header beats it":    {request("POST", "Cookie: __Host-access=bad", "Authorization: Bearer good", "Origin: https://evil.example"), "200 1 jwt"},
		"edge_A05/an unknown header":         {request("POST", good, "Authorization: Foo x"), "200  "},
		"edge_A05/an empty header":           {request("POST", good, "Authorization: "), "200  "},
		"edge_A05/two headers":               {request("GET", good, "Authorization: Bearer good", "Authorization: Bearer good"), "400"},
		"edge_A05/a method of no one's":      {request("get", good, "Origin: https://evil.example"), "403"},
		"edge_A05/OPTIONS is safe":           {request("OPTIONS", good, "Origin: https://evil.example"), "200 1 cookie"},
		"edge_A05/a cookie with a semicolon": {request("GET", "Cookie: x=1; __Host-access=good; y=2"), "200 1 cookie"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, tc.r)
			got := fmt.Sprint(w.Code)
			if w.Code == 200 {
				got += " " + w.Body.String()
			}
			if got != tc.want {
				t.Errorf("got %s %s, want %s", got, w.Body, tc.want)
			}
			if vary := w.Header().Get("Vary"); vary != "Cookie" && w.Code != 400 {
				t.Errorf("Vary: %q", vary)
			}
			if w.Code == 401 && len(tc.r.Header["Authorization"]) == 0 {
				if got := w.Header()["Www-Authenticate"]; len(got) != 1 || got[0] != `Cookie realm="api"` {
					t.Errorf("challenges %q", got)
				}
				if !strings.Contains(w.Body.String(), `"Invalid token."`) {
					t.Errorf("the client is told %s", w.Body)
				}
			}
		})
	}
}

func host(r *http.Request, name string) *http.Request { r.Host = name; return r }

func plain(r *http.Request) *http.Request { r.TLS = nil; return r }

// An Authorization header makes the scheme ignore the cookie, even if no other scheme is in the
// chain.
func TestExplicitBeatsCookie(t *testing.T) {
	s, err := cookie.New("access", newSite(t), authn.Func(bearer), bearers())
	must(t, err)
	if id, err := s.Authenticate(request("GET", "Cookie: __Host-access=good", "Authorization: Bearer bad")); err != authn.ErrNoCredentials {
		t.Errorf("edge_A05: %+v, %v", id, err)
	}
	// A cookie that the wrapped scheme does not recognize is rejected, never anonymous.
	for what, inner := range map[string]authn.Func{"another keyword": bearer, "nothing": func(*http.Request) (authn.Identity, error) { return authn.Identity{}, authn.ErrNoCredentials }} {
		other, err := cookie.New("access", newSite(t), inner, &cookie.Options{Keyword: "Token"})
		must(t, err)
		var e *authn.Error
		if _, err := other.Authenticate(request("GET", "Cookie: __Host-access=good")); !errors.As(err, &e) || e.Status != 401 {
			t.Errorf("edge_A05/%s: %v", what, err)
		}
	}
}

// With the page's token, a request without Origin and Sec-Fetch-Site is accepted.
func TestToken(t *testing.T) {
	s, err := cookie.New("access", newSite(t), authn.Func(bearer), bearers())
	must(t, err)
	page := request("GET", "Cookie: __Host-access=good")
	for sent, want := range map[string]int{s.Token(page): 0, "": 403, csrf.Mask(csrf.SecretOf("another")): 403} {
		body := "csrfmiddlewaretoken=" + sent
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Host, r.TLS = "app.example", new(tls.ConnectionState)
		r.Header.Set("Cookie", "__Host-access=good")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		_, err := s.Authenticate(r)
		var e *authn.Error
		if errors.As(err, &e); want == 0 && err != nil || want != 0 && (e == nil || e.Status != want) {
			t.Errorf("%q: %v, want %d", sent, err, want)
		}
		if r.FormValue("csrfmiddlewaretoken") != sent {
			t.Error("the body is gone")
		}
	}
	if s.Token(request("GET")) != "" {
		t.Error("a token without a cookie")
	}
}

func TestCookie(t *testing.T) {
	s, err := cookie.New("access", newSite(t), authn.Func(bearer), &cookie.Options{Keyword: "Bearer", SameSite: http.SameSiteStrictMode, Scheme: "pages"})
	must(t, err)
	if got := s.Cookie("x", 60).String(); got != "__Host-access=x; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Strict" || s.CookieName() != "__Host-access" || s.Name() != "pages" {
		t.Error(got)
	}
	local, err := cookie.New("access", csrf.Loopback(), authn.Func(bearer), bearers())
	must(t, err)
	if got := local.Cookie("x", 0).String(); got != "access=x; Path=/; HttpOnly; SameSite=Lax" {
		t.Error(got)
	}
	r := httptest.NewRequest("GET", "http://localhost/", nil)
	r.Header.Set("Cookie", "access=good")
	if _, err := local.Authenticate(r); err == nil {
		t.Error("accepted off loopback")
	}
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})))
	if id, err := local.Authenticate(r); err != nil || id.Subject != "1" {
		t.Errorf("on loopback: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	site := newSite(t)
	noHeader := struct {
		authn.Authenticator
		authn.HeaderReader
	}{authn.Func(bearer), reads{"X-Api-Key"}}
	for what, f := range map[string]func() (*cookie.Scheme, error){
		"no site":         func() (*cookie.Scheme, error) { return cookie.New("a", nil, authn.Func(bearer), nil) },
		"no scheme":       func() (*cookie.Scheme, error) { return cookie.New("a", site, nil, nil) },
		"an empty chain":  func() (*cookie.Scheme, error) { return cookie.New("a", site, authn.Chain{}, nil) },
		"a nil func":      func() (*cookie.Scheme, error) { return cookie.New("a", site, authn.Func(nil), nil) },
		"another header":  func() (*cookie.Scheme, error) { return cookie.New("a", site, noHeader, nil) },
		"a prefix":        func() (*cookie.Scheme, error) { return cookie.New("__Host-a", site, authn.Func(bearer), bearers()) },
		"another prefix":  func() (*cookie.Scheme, error) { return cookie.New("__SECURE-a", site, authn.Func(bearer), bearers()) },
		"an odd name":     func() (*cookie.Scheme, error) { return cookie.New("a b", site, authn.Func(bearer), bearers()) },
		"no name":         func() (*cookie.Scheme, error) { return cookie.New("", site, authn.Func(bearer), bearers()) },
		"SameSite None":   options(site, cookie.Options{SameSite: http.SameSiteNoneMode}),
		"an odd keyword":  options(site, cookie.Options{Keyword: "Bearer x"}),
		"an odd realm":    options(site, cookie.Options{Realm: `"`}),
		"a line in realm": options(site, cookie.Options{Realm: "a\nb"}),
	} {
		if s, err := f(); err == nil || s != nil || !strings.HasPrefix(err.Error(), "cookie: New: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func options(site *csrf.Site, o cookie.Options) func() (*cookie.Scheme, error) {
	if o.Keyword == "" {
		o.Keyword = "Bearer"
	}
	return func() (*cookie.Scheme, error) { return cookie.New("a", site, authn.Func(bearer), &o) }
}

type reads []string

// declared is a scheme that declares that it reads Authorization.
type declared struct{ authn.Authenticator }

func (declared) Headers() []string { return []string{"Authorization"} }

func (r reads) Headers() []string { return r }

// decorated is a wrapper of an application, with and without Unwrap.
type decorated struct{ *cookie.Scheme }

type unwrapped struct{ authn.Authenticator }

func (u unwrapped) Unwrap() authn.Authenticator { return u.Authenticator }

// A cached result for a safe request does not allow an unsafe one, wherever scheme, cache and
// decorator are in the chain.
func TestKept(t *testing.T) {
	test := func(t *testing.T, s storagetest.Store) {
		must(t, s.CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true}))
		tokens, err := knox.New(s, nil)
		must(t, err)
		epoch, err := tokens.CurrentEpoch(t.Context(), "id-alice")
		must(t, err)
		text, rec, err := tokens.Issue(t.Context(), "id-alice", epoch, knox.Token{})
		must(t, err)
		pages, err := cookie.New("access", newSite(t), tokens, nil)
		must(t, err)
		for name, chain := range map[string]authn.Chain{
			"alone": {pages}, "beside": {tokens, pages}, "before": {pages, tokens}, "embedded": {tokens, decorated{pages}}, "unwrapped": {tokens, unwrapped{pages}}, "nested": {authn.Chain{tokens, pages}},
		} {
			handler := authn.New(chain, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Subject", authn.FromContext(r.Context()).Subject)
			}))
			is := func(want int, r *http.Request) {
				t.Helper()
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != want || want == 200 && w.Header().Get("X-Subject") != "id-alice" {
					t.Errorf("edge_A05/%s: %s: %d, want %d", name, r.Method, w.Code, want)
				}
			}
			c := "Cookie: __Host-access=" + text
			for range 3 {
				if len(chain) > 1 {
					is(200, request("POST", "Authorization: Knox "+text, "Origin: https://evil.example"))
				}
				is(200, request("GET", c))
				is(403, request("POST", c, "Origin: https://evil.example"))
				is(403, request("GET", c, "Origin: https://evil.example", "Sec-WebSocket-Key: x"))
				is(200, request("POST", c, "Origin: "+origin))
				is(401, plain(request("GET", c)))
			}
		}
		must(t, tokens.Revoke(t.Context(), "id-alice", rec.ID))
		if _, err := pages.Authenticate(request("GET", "Cookie: __Host-access="+text)); err == nil {
			t.Error("edge_A05: accepted after it was revoked")
		}
	}
	storetest.Each(t, test)
	t.Run("cached", func(t *testing.T) {
		kept, err := cached.New(memory.New(nil), &cached.Options{TTL: time.Minute})
		must(t, err)
		test(t, kept)
	})
}

// Basic behind a cookie checks the origin too.
func TestBasicInACookie(t *testing.T) {
	pw, err := basic.New(anyPassword{}, nil)
	must(t, err)
	s, err := cookie.New("pw", newSite(t), pw, &cookie.Options{Keyword: "Basic"})
	must(t, err)
	if id, err := s.Authenticate(request("GET", "Cookie: __Host-pw=YTpi")); err != nil || id.Subject != "a" || id.Scheme != "cookie" {
		t.Errorf("%+v, %v", id, err)
	}
}

type anyPassword struct{}

func (anyPassword) CheckPassword(_ *http.Request, name, _ string) (authn.Login, error) {
	return authn.Login{Subject: name, Name: name}, nil
}
