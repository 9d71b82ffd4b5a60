package authz_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// A WebSocket begins with a GET but can write, so ReadOnly does not allow one.
func TestWebSocketIsNoRead_attack_323(t *testing.T) {
	for _, h := range [][2]string{{"Upgrade", "websocket"}, {"Sec-Websocket-Key", "x"}, {"Sec-Websocket-Version", "13"}, {"Sec-Fetch-Mode", "WebSocket"}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(h[0], h[1])
		for _, p := range []authz.Permission{authz.ReadOnly, authz.IsAuthenticatedOrReadOnly} {
			if d, err := p.Decide(authz.Access{Request: r}); d != authz.Deny {
				t.Errorf("%s: %v lets an anonymous one in: %v, %v", h[0], p, d, err)
			}
		}
		if d, err := authz.IsAuthenticatedOrReadOnly.Decide(authz.Access{Request: r, Identity: authn.Identity{Subject: "1"}}); d != authz.Allow || err != nil {
			t.Errorf("%s: authenticated: %v, %v", h[0], d, err)
		}
	}
}

// editorOf is an account with permissions.
type editorOf []string

func (editorOf) UserID() string { return "alice" }
func (e editorOf) HasPerm(_ context.Context, perm string) (bool, error) {
	return slices.Contains(e, perm), nil
}

func withPerms(id authn.Identity, perms ...string) authn.Identity {
	id.User = editorOf(perms)
	return id
}

// upgrades are requests for a WebSocket: from a browser, from behind a gateway that drops Upgrade,
// and over HTTP/2.
func upgrades() map[string]*http.Request {
	all := make(map[string]*http.Request)
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		for _, h := range [][2]string{{"Upgrade", "websocket"}, {"Upgrade", "h2c"}, {"Sec-Websocket-Key", "x"}, {"Sec-Websocket-Version", "13"}, {"Sec-Fetch-Mode", "WebSocket"}} {
			r := httptest.NewRequest(method, "/", nil)
			r.Header.Set(h[0], h[1])
			all[method+" "+h[0]+" "+h[1]] = r
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Method = "CONNECT"
	r.Header[":protocol"] = []string{"websocket"}
	all["CONNECT"] = r
	return all
}

// A caller that may only read by GET cannot write over a WebSocket.
func TestWebSocketByMethod_attack_338(t *testing.T) {
	reader, editor := withPerms(alice, "app.view_x"), withPerms(alice, "app.view_x", "app.add_x", "app.change_x", "app.delete_x")
	most := withPerms(alice, "app.view_x", "app.add_x", "app.delete_x")
	get := authz.ByMethod(map[string]authz.Permission{"GET": authz.IsAuthenticated, "OPTIONS": authz.AllowAny})
	named := authz.ByMethod(map[string]authz.Permission{"GET": authz.IsAuthenticated, authz.Upgrade: authz.HasPerm("app.change_x")})
	connect := authz.ByMethod(map[string]authz.Permission{"GET": authz.IsAuthenticated, "CONNECT": authz.HasPerm("app.change_x")})
	for name, r := range upgrades() {
		for _, x := range []struct {
			p    authz.Permission
			id   authn.Identity
			want authz.Decision
		}{
			{authz.ModelPermissions("app", "x"), anonymous, authz.Deny},
			{authz.ModelPermissions("app", "x"), reader, authz.Deny},
			{authz.ModelPermissions("app", "x"), most, authz.Deny},
			{authz.ModelPermissions("app", "x"), editor, authz.Allow},
			{authz.ModelPermissionsWithView("app", "x"), reader, authz.Deny},
			{authz.ModelPermissionsWithView("app", "x"), editor, authz.Allow},
			{authz.ModelPermissionsWithView("app", "x"), withPerms(alice, "app.add_x", "app.change_x", "app.delete_x"), authz.Deny},
			{get, anonymous, authz.Deny},
			{get, editor, authz.Deny},
			{authz.Not(get), anonymous, authz.Deny},
			{named, reader, authz.Deny},
			{named, editor, authz.Allow},
			{connect, editor, map[bool]authz.Decision{true: authz.Allow}[r.Method == "CONNECT"]},
		} {
			if d, err := x.p.Decide(authz.Access{Request: r, Identity: x.id}); d != x.want {
				t.Errorf("%s: %v by %+v: %v, %v; want %v", name, x.p, x.id, d, err, x.want)
			}
		}
		if _, err := get.Decide(authz.Access{Request: r, Identity: editor}); r.Method == "GET" && (err == nil || !strings.HasPrefix(err.Error(), "403 permission_denied")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Run("no method of a request line", func(t *testing.T) {
		s := serve(t, authn.New(authn.Chain{fixed{"token", editor}}, nil).Handler(authz.Require(named).Handler(http.HandlerFunc(say))))
		if code, body := send(t, s, authz.Upgrade, "/"); code != 400 {
			t.Errorf("%d %s", code, body)
		}
	})
	t.Run("scopes of the challenge", func(t *testing.T) {
		p := authz.ByMethod(map[string]authz.Permission{"GET": authz.HasScope("read"), authz.Upgrade: authz.HasScope("write")})
		h := authn.New(authn.Chain{fixed{"token", authn.Identity{Client: "c", Scheme: "token", Scopes: []string{"read"}}}}, &authn.Options{Logger: slog.New(slog.DiscardHandler), WriteError: scopesOf}).Handler(authz.Require(p).Handler(http.HandlerFunc(say)))
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Upgrade", "websocket")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 403 || w.Body.String() != "write" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func scopesOf(w http.ResponseWriter, _ *http.Request, e *authn.Error) {
	w.WriteHeader(e.Status)
	_, _ = w.Write([]byte(strings.Join(e.Scopes, " ")))
}

// Not(ByMethod) denies methods and protocols that the ByMethod does not hold.
func TestNotOfAnUnnamedMethod_attack_362(t *testing.T) {
	suspended := alice
	suspended.Roles = []string{"suspended"}
	kept := authz.HasRole("suspended")
	p := authz.Not(authz.ByMethod(map[string]authz.Permission{"GET": kept, "POST": kept}))
	requests := upgrades()
	requests["PUT"] = httptest.NewRequest("PUT", "/", nil)
	for name, r := range requests {
		for _, p := range []authz.Permission{p, authz.And(authz.IsAuthenticated, p), foreignPermission{p}, authz.Not(authz.Not(p)), authz.Not(foreignPermission{authz.Not(p)})} {
			if d, err := p.Decide(authz.Access{Request: r, Identity: suspended}); d != authz.Deny {
				t.Errorf("%s: %v: %v, %v", name, p, d, err)
			}
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	if d, err := p.Decide(authz.Access{Request: r, Identity: alice}); d != authz.Allow {
		t.Errorf("who is not suspended: %v, %v", d, err)
	}
}

// foreignPermission is an application's permission around one of this package.
type foreignPermission struct{ p authz.Permission }

func (f foreignPermission) Decide(a authz.Access) (authz.Decision, error) { return f.p.Decide(a) }

// RequireScopes covers the protocols that a CONNECT leads to.
func TestScopesOfConnect_attack_362(t *testing.T) {
	m := authz.NewMux(authn.New(authn.Chain{fixed{"token", alice}}, nil))
	m.HandleFunc("CONNECT /ws", say, authz.ByMethod(map[string]authz.Permission{authz.Upgrade: authz.IsAuthenticated}))
	if routes := m.Routes(); len(routes) != 1 || !routes[0].NoScope {
		t.Errorf("%+v", routes)
	}
}

// A request for another protocol is neither a read nor a write: adding a header does not let a
// caller read that may only write.
func TestUpgradeIsNoWrite_attack_385(t *testing.T) {
	writer := authn.Identity{Subject: "id-alice", Client: "c", Scheme: "oauth2", Scopes: []string{"write"}}
	recipe := authz.Or(authz.And(authz.ReadOnly, authz.HasScope("read")), authz.And(authz.Not(authz.ReadOnly), authz.HasScope("write")))
	for name, r := range upgrades() {
		if r.Method == "CONNECT" {
			continue
		}
		for _, x := range []struct {
			p  authz.Permission
			id authn.Identity
		}{
			{recipe, writer}, {authz.Or(authz.Not(authz.ReadOnly), authz.HasRole("staff")), anonymous}, {authz.ReadOnly, alice}, {authz.Not(authz.ReadOnly), alice},
			{authz.Not(foreignPermission{authz.ReadOnly}), alice},
		} {
			if d, err := x.p.Decide(authz.Access{Request: r, Identity: x.id}); d != authz.Deny {
				t.Errorf("%s: %v by %q: %v, %v", name, x.p, x.id.Subject, d, err)
			}
		}
	}
	post := httptest.NewRequest("POST", "/", nil)
	if d, err := recipe.Decide(authz.Access{Request: post, Identity: writer}); d != authz.Allow {
		t.Errorf("a write: %v, %v", d, err)
	}
}

// RequireScopes does not treat a route as open if it denies anonymous callers by their scheme.
func TestScopesBehindASchemeName_attack_385(t *testing.T) {
	m := authz.NewMux(authn.New(authn.Chain{fixed{"token", alice}, nobody("basic")}, nil))
	m.HandleFunc("GET /notes", say, authz.Not(authz.And(authz.ViaScheme("basic"), authz.Not(authz.ReadOnly))))
	if routes := m.Routes(); len(routes) != 1 || !routes[0].NoScope {
		t.Errorf("%+v", routes)
	}
}
