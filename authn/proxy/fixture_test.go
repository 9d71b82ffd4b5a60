package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/proxy"
	"github.com/vestibule-auth/vestibule/authz"
)

const origin = "https://app.example"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var errDown = errors.New("the database is down")

// people maps the test's credentials to identities.
var people = map[string]authn.Identity{
	"alice":          {Subject: "1", Scheme: "jwt", Roles: []string{"staff"}},
	"odd":            {Subject: "a b%é\n", Scheme: "jwt"},
	"percent":        {Subject: "a%20b", Scheme: "jwt"},
	"client":         {Subject: "1", Client: "third", Scheme: "oauth2", Scopes: []string{"notes:read", "profile"}},
	"machine":        {Client: "third", Scheme: "oauth2", Scopes: []string{"notes:read"}},
	"narrow":         {Subject: "1", Client: "third", Scheme: "oauth2", Scopes: []string{"profile"}},
	"foreign":        {Subject: "1", Issuer: "https://other.example", Scheme: "jwt"},
	"stranger":       {Subject: "1", Issuer: "https://evil.example", Scheme: "jwt"},
	"foreign client": {Subject: "1", Issuer: "https://other.example", Client: "c", Scheme: "jwt", Scopes: []string{"notes:read"}},
}

// bearer reads Authorization.
type bearer struct{}

func (bearer) Name() string                          { return "jwt" }
func (bearer) Headers() []string                     { return []string{"Authorization"} }
func (bearer) Challenge(*http.Request, error) string { return "Bearer" }

func (bearer) Authenticate(r *http.Request) (authn.Identity, error) {
	line, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	if line == "down" {
		return authn.Identity{}, errDown
	}
	id, ok := people[strings.ReplaceAll(line, "_", " ")]
	if !ok {
		return authn.Identity{}, authn.AuthenticationFailed("Invalid token.")
	}
	return id, nil
}

// careless is an ambient scheme without the cross-origin check.
type careless struct{}

func (careless) Ambient() bool     { return true }
func (careless) Headers() []string { return []string{"Cookie"} }

func (careless) Authenticate(r *http.Request) (authn.Identity, error) {
	if v, err := authn.Cookie(r, "id"); err != nil || v != "alice" {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	return authn.Identity{Subject: "1", Scheme: "careless"}, nil
}

// world is a forward-auth endpoint for a test.
type world struct {
	t       testing.TB
	handler http.Handler
	log     bytes.Buffer
	seen    *http.Request // what the guard saw
}

// config is the part of the configuration that tests change.
type config struct {
	dialect proxy.Dialect
	opts    proxy.ForwardAuthOptions
	guard   authz.Permission // nil is IsAuthenticated
	site    *csrf.Site
}

func newWorld(t testing.TB, c config) *world {
	t.Helper()
	w := &world{t: t}
	proxies, err := authn.NewTrustedProxies("10.0.0.1")
	must(t, err)
	if c.site == nil {
		c.site, err = csrf.New(origin, &csrf.Options{Proxies: proxies, Hosts: []string{"www.app.example"}})
		must(t, err)
	}
	if c.guard == nil {
		c.guard = authz.IsAuthenticated
	}
	look := seeing{w}
	auth := authn.New(authn.Chain{bearer{}, careless{}}, &authn.Options{Logger: slog.New(slog.NewTextHandler(&w.log, nil))})
	w.handler, err = proxy.NewForwardAuth(c.dialect, proxies, c.site, auth, authz.Require(look, c.guard), &c.opts)
	must(t, err)
	return w
}

type seeing struct{ w *world }

func (s seeing) Decide(a authz.Access) (authz.Decision, error) {
	s.w.seen = a.Request
	return authz.Allow, nil
}

// ask sends a sub-request; headers are "Name: value".
func (w *world) ask(peer, method, target string, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, "http://auth.internal/", nil)
	r.RequestURI, r.RemoteAddr, r.Host = target, peer, "auth.internal"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	w.log.Reset()
	w.seen = nil
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	for _, name := range []string{"X-Auth-User", "X-Auth-Scheme", "X-Auth-Client", "X-Auth-Scopes", "X-Auth-Issuer"} {
		if list := rec.Header()[name]; len(list) != 1 {
			w.t.Errorf("%d: %s occurs %d times", rec.Code, name, len(list))
		} else if rec.Code > 299 && list[0] != "" {
			w.t.Errorf("%d: %s is %q", rec.Code, name, list[0])
		}
	}
	if rec.Header().Get("Cache-Control") != "no-store" {
		w.t.Errorf("%d may be cached", rec.Code)
	}
	return rec
}

const gateway = "10.0.0.1:4711"

// nginx returns the headers of docs/gateways.md.
func nginx(method, uri string, more ...string) []string {
	return append([]string{"X-Original-Method: " + method, "X-Original-URI: " + uri, "X-Original-Host: app.example", "X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9"}, more...)
}

// traefik returns the headers of Traefik and Caddy.
func traefik(method, uri string, more ...string) []string {
	return append([]string{"X-Forwarded-Method: " + method, "X-Forwarded-Uri: " + uri, "X-Forwarded-Host: app.example", "X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9"}, more...)
}

// answer summarizes a response.
func answer(rec *httptest.ResponseRecorder) string {
	switch h := rec.Header(); rec.Code {
	case 200, 204:
		return fmt.Sprintf(fmt.Sprint(rec.Code)+" user=%s scheme=%s client=%s scopes=%s issuer=%s", h.Get("X-Auth-User"), h.Get("X-Auth-Scheme"), h.Get("X-Auth-Client"), h.Get("X-Auth-Scopes"), h.Get("X-Auth-Issuer"))
	case 303:
		return "303 " + h.Get("Location")
	case 401:
		return strings.TrimSpace("401 " + strings.Join(h["Www-Authenticate"], ", ") + " " + h.Get("Location"))
	}
	return fmt.Sprint(rec.Code)
}
