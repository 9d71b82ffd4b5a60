package authz_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// panicText returns the text that f panics with, or "".
func panicText(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

var delegatedRoutes = map[string]struct {
	p       []authz.Permission
	listed  bool
	pattern string
}{
	"edge_A03/authenticated":               {[]authz.Permission{authz.IsAuthenticated}, true, ""},
	"edge_A03/owner":                       {[]authz.Permission{authz.IsAuthenticated, authz.OwnedBy(byOwner)}, true, ""},
	"edge_A03/owner or admin":              {[]authz.Permission{authz.Or(authz.OwnedBy(byOwner), authz.IsAdmin)}, true, ""},
	"edge_A03/writes of authenticated":     {[]authz.Permission{authz.IsAuthenticatedOrReadOnly}, true, "/x"},
	"edge_A03/the reads of it":             {[]authz.Permission{authz.IsAuthenticatedOrReadOnly}, false, "GET /x"},
	"edge_A03/a function":                  {[]authz.Permission{authz.If(func(authn.Identity) bool { return true })}, true, ""},
	"edge_A03/somebody's permission":       {[]authz.Permission{&leaf{}}, true, ""},
	"edge_A03/by scheme":                   {[]authz.Permission{authz.ViaScheme("token")}, true, ""},
	"edge_A03/one method without":          {[]authz.Permission{authz.ByMethod(map[string]authz.Permission{"GET": authz.HasScope("a"), "PURGE": authz.IsAuthenticated})}, true, "/x"},
	"edge_A03/of another method":           {[]authz.Permission{authz.ByMethod(map[string]authz.Permission{"GET": authz.HasScope("a"), "PURGE": authz.IsAuthenticated})}, false, "GET /x"},
	"edge_A03/a WebSocket without":         {[]authz.Permission{authz.ByMethod(map[string]authz.Permission{"GET": authz.HasScope("a"), authz.Upgrade: authz.IsAuthenticated})}, true, "GET /x"},
	"edge_A03/a WebSocket with":            {[]authz.Permission{authz.ByMethod(map[string]authz.Permission{"GET": authz.HasScope("a"), authz.Upgrade: authz.HasScope("b")})}, false, "GET /x"},
	"edge_A03/an alternative without":      {[]authz.Permission{authz.Or(authz.HasScope("a"), authz.OwnedBy(byOwner))}, true, ""},
	"edge_A03/not a scope":                 {[]authz.Permission{authz.IsAuthenticated, authz.Not(authz.HasScope("a"))}, true, ""},
	"edge_A03/model permissions, reads":    {[]authz.Permission{authz.ModelPermissions("a", "b")}, true, "/x"},
	"edge_A03/model permissions, writes":   {[]authz.Permission{authz.ModelPermissions("a", "b")}, false, "POST /x"},
	"edge_A03/not first party":             {[]authz.Permission{authz.Not(authz.FirstParty)}, true, ""},
	"edge_A03/a grant":                     {[]authz.Permission{authz.ScopeGrants("a", authz.HasPerm("a.b"))}, false, ""},
	"edge_A03/a grant of less":             {[]authz.Permission{authz.ScopeGrants("a", authz.IsAuthenticated)}, true, ""},
	"edge_A03/scope":                       {[]authz.Permission{authz.IsAuthenticated, authz.HasScope("a")}, false, ""},
	"edge_A03/scope and owner":             {[]authz.Permission{authz.HasScope("a"), authz.OwnedBy(byOwner)}, false, ""},
	"edge_A03/role":                        {[]authz.Permission{authz.IsAdmin}, false, ""},
	"edge_A03/no role":                     {[]authz.Permission{authz.Not(authz.IsAdmin)}, false, ""},
	"edge_A03/permission":                  {[]authz.Permission{authz.HasPerm("a.b")}, false, ""},
	"edge_A03/first party":                 {[]authz.Permission{authz.FirstParty, authz.OwnedBy(byOwner)}, false, ""},
	"edge_A03/everybody":                   {[]authz.Permission{authz.AllowAny}, false, ""},
	"edge_A03/anonymous or scope":          {[]authz.Permission{authz.Or(authz.HasScope("a"), authz.Not(authz.IsAuthenticated))}, false, ""},
	"edge_A03/declared":                    {[]authz.Permission{authz.IsAuthenticated, authz.NoScopeNeeded}, false, ""},
	"edge_A03/declared for an alternative": {[]authz.Permission{authz.Or(authz.And(authz.IsAuthenticated, authz.NoScopeNeeded), authz.HasScope("a"))}, false, ""},
	"edge_A03/declared for another one":    {[]authz.Permission{authz.Or(authz.And(authz.IsAuthenticated, authz.NoScopeNeeded), authz.OwnedBy(byOwner))}, true, ""},
}

// Route.NoScope agrees with what a scope-limited identity really reaches.
func TestReachedWithoutScope_attack_263(t *testing.T) {
	for name, x := range delegatedRoutes {
		t.Run(name, func(t *testing.T) {
			pattern := x.pattern
			if pattern == "" {
				pattern = "GET /x"
			}
			m := quietMux(alice)
			m.HandleFunc(pattern, say, x.p...)
			if got := m.Routes()[0].NoScope; got != x.listed {
				t.Fatalf("listed: %t, want %t", got, x.listed)
			}
			err := authz.CheckScopes(m.Routes())
			if (err != nil) != x.listed || x.listed && !strings.Contains(err.Error(), pattern) {
				t.Errorf("CheckScopes: %v", err)
			}
			// RequireScopes refuses the route, called before or after it, and in views of the mux.
			for when, f := range map[string]func(){
				"before": func() { quietMux(alice).RequireScopes().HandleFunc(pattern, say, x.p...) },
				"after":  func() { m.RequireScopes() },
				"view": func() {
					m := quietMux(alice)
					m.With(authn.New(fixed{"other", alice}, nil)).RequireScopes()
					m.HandleFunc(pattern, say, x.p...)
				},
			} {
				if text := panicText(f); (text != "") != x.listed || x.listed && !strings.Contains(text, "NoScopeNeeded") {
					t.Errorf("%s: %q", when, text)
				}
			}
			if x.listed {
				return
			}
			// Other routes are closed to an identity without scopes, unless they are declared or
			// public.
			declared := strings.Contains(m.Routes()[0].Permission, "NoScopeNeeded")
			for _, id := range []authn.Identity{nothing, {Subject: "alice", Client: "app", Scopes: []string{}}, {Client: "app", Scopes: []string{}}} {
				method, _, _ := strings.Cut(pattern, " ")
				r := func(id authn.Identity) int { return guarded(authz.Require(x.p...).HandlerFunc(say), id, method).Code }
				if code, anonymously := r(id), r(anonymous); code == 200 && anonymously != 200 && !declared {
					t.Errorf("%+v: %d", id, code)
				}
			}
		})
	}
}

func TestFirstParty(t *testing.T) {
	for name, x := range map[string]struct {
		id   authn.Identity
		want int
	}{
		"a user": {alice, 200}, "anonymous": {anonymous, 401}, "limited": {limited, 403}, "no scopes": {nothing, 403}, "a client for a user": {byClient, 403},
		"a client": {client, 403}, "another issuer's": {authn.Identity{Subject: "alice", Issuer: "https://other.example"}, 403},
	} {
		if got := guarded(authz.Require(authz.FirstParty).HandlerFunc(say), x.id, "GET"); got.Code != x.want {
			t.Errorf("edge_A03: %s: %d, want %d", name, got.Code, x.want)
		}
		if d, _ := authz.Not(authz.FirstParty).Decide(access("GET", anonymous, nil)); d != authz.Deny {
			t.Error("Not(FirstParty) admits the anonymous")
		}
	}
}

// A guard without a middleware in front of it is reported, wherever the middleware is missing.
func TestAuditFindsGuardsWithoutMiddleware(t *testing.T) {
	auth := authn.New(authn.Chain{fixed{name: "token"}}, nil)
	guard := authz.Require(authz.IsAuthenticated)
	handler := http.HandlerFunc(say)
	object := authz.HandleObject(guard, func(*http.Request) (int, error) { return 0, nil }, func(http.ResponseWriter, *http.Request, int) {})
	outer := authz.RequirePlainPath(http.NewServeMux())
	for name, x := range map[string]struct {
		h   http.Handler
		in  []http.Handler
		bad string
	}{
		"edge_A21/none":                {guard.Handler(handler), []http.Handler{outer}, "without a middleware"},
		"edge_A21/for objects":         {object, []http.Handler{outer}, "without a middleware"},
		"edge_A21/behind a wrapper":    {wrapper{guard.Handler(handler)}, []http.Handler{outer}, "without a middleware"},
		"edge_A21/the wrong way round": {guard.Handler(auth.Handler(handler)), []http.Handler{outer}, "without a middleware"},
		"edge_A21/bare":                {auth.Public(guard.Handler(handler)), []http.Handler{outer}, "without a middleware"},
		"edge_A21/bare inside":         {auth.Handler(auth.Public(guard.Handler(handler))), []http.Handler{outer}, "without a middleware"},
		"edge_A21/by Allow any":        {authz.Require(authz.AllowAny).Handler(handler), []http.Handler{outer}, "without a middleware"},
		"edge_A21/no path check":       {auth.Handler(guard.Handler(handler)), nil, "no path check"},
		"edge_A21/in front of all":     {guard.Handler(handler), []http.Handler{authz.RequirePlainPath(auth.Handler(http.NewServeMux()))}, ""},
		"edge_A21/check inside":        {authz.RequirePlainPath(auth.Handler(guard.Handler(handler))), nil, ""},
		"edge_A21/any path, said":      {auth.Handler(guard.Handler(authz.InsecureAllowAnyPath(handler))), nil, ""},
		"edge_A21/right":               {auth.Handler(guard.Handler(handler)), []http.Handler{outer}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			routes, err := authz.Audit(maps.All(map[string]http.Handler{"/x": x.h}), x.in...)
			if (err == nil) != (x.bad == "") || err != nil && !strings.Contains(err.Error(), x.bad) || len(routes) != 1 {
				t.Errorf("%v, %v", routes, err)
			}
		})
	}
	m := authz.NewMux(auth)
	if panicText(func() { m.Public("/b", guard.Handler(handler)) }) == "" {
		t.Error("edge_A21: a guard on a bare route is taken")
	}
	if panicText(func() { m.Handle("/c", auth.Public(guard.Handler(handler))) }) == "" {
		t.Error("edge_A21: a guard behind Public is taken")
	}
}

// account is an account whose HasPerm calls a function of the test.
type account struct {
	has func() (bool, error)
}

func (*account) UserID() string                                  { return "1" }
func (a *account) HasPerm(context.Context, string) (bool, error) { return a.has() }

// serveOn sends one request to a real server. A dropped connection is code 0.
func serveOn(t *testing.T, h http.Handler) int {
	s := serve(t, h)
	resp, err := http.Get(s.URL)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// contextEnded is a context past its deadline.
func contextEnded(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), -1)
}

// A public handler inside a guard stays guarded: scope-limited identities reach it.
func Test_edge_A21_bare_behind(t *testing.T) {
	auth := authn.New(authn.Func(func(*http.Request) (authn.Identity, error) { return authn.Identity{}, authn.ErrNoCredentials }), nil)
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	m := authz.NewMux(auth)
	m.Handle("GET /x", auth.Public(handler), authz.IsAuthenticated)
	if r := m.Routes()[0]; r.Public || !r.NoScope || len(r.Schemes) != 1 {
		t.Errorf("%+v", r)
	}
	if panicText(func() { m.RequireScopes() }) == "" {
		t.Error("RequireScopes takes it")
	}
	for name, h := range map[string]http.Handler{"bare in between": auth.Public(authz.Require(authz.AllowAny).Handler(handler)), "bare": auth.Public(handler)} {
		_, err := authz.Audit(func(yield func(string, http.Handler) bool) {
			yield("/y", auth.Handler(authz.Require(authz.IsAdmin).Handler(h)))
		}, authz.RequirePlainPath(handler))
		if (err != nil) != (name != "bare") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
