package authz_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authz"
)

// leaf returns fixed results and counts its calls.
type leaf struct {
	d     authz.Decision
	err   error
	asked int
}

func (l *leaf) Decide(authz.Access) (authz.Decision, error) { l.asked++; return l.d, l.err }

func access(method string, id authn.Identity, object any) authz.Access {
	return authz.Access{Request: httptest.NewRequest(method, "/", nil), Identity: id, Object: object}
}

var (
	anonymous = authn.Identity{}
	alice     = authn.Identity{Subject: "alice", Scheme: "token"}
	admin     = authn.Identity{Subject: "root", Roles: []string{"admin"}, Scheme: "basic"}
	limited   = authn.Identity{Subject: "root", Roles: []string{"admin"}, Scopes: []string{"notes:read"}, Scheme: "knox"}
	nothing   = authn.Identity{Subject: "root", Roles: []string{"admin"}, Scopes: []string{}}
	byClient  = authn.Identity{Subject: "root", Client: "app", Roles: []string{"admin"}, Scopes: []string{"notes:read", "notes:write"}}
	client    = authn.Identity{Client: "app", Scopes: []string{"notes:write"}}
)

var values = []authz.Decision{authz.Deny, authz.Unknown, authz.Allow}

func TestTruthTables(t *testing.T) {
	a := access("GET", alice, nil)
	for _, x := range values {
		if got, err := authz.Not(&leaf{d: x}).Decide(a); got != authz.Allow-x || err != nil {
			t.Errorf("Not(%v) = %v, %v", x, got, err)
		}
		for _, y := range values {
			if got, err := authz.And(&leaf{d: x}, &leaf{d: y}).Decide(a); got != min(x, y) || err != nil {
				t.Errorf("And(%v, %v) = %v, %v", x, y, got, err)
			}
			if got, err := authz.Or(&leaf{d: x}, &leaf{d: y}).Decide(a); got != max(x, y) || err != nil {
				t.Errorf("Or(%v, %v) = %v, %v", x, y, got, err)
			}
		}
	}
}

func TestReasonsAndFaults(t *testing.T) {
	r1, r2 := authn.PermissionDenied("one"), authn.PermissionDenied("two")
	fault := errors.New("down")
	allow, unknown, deny := &leaf{d: authz.Allow}, &leaf{d: authz.Unknown}, &leaf{}
	d1, d2, broken := &leaf{err: r1}, &leaf{err: r2}, &leaf{d: authz.Allow, err: fault}
	var typedNil *authn.Error
	for name, x := range map[string]struct {
		p    authz.Permission
		want authz.Decision
		err  error
	}{
		"And: the first that refused":   {authz.And(allow, d1, d2), authz.Deny, r1},
		"And: a refusal before a fault": {authz.And(d1, broken), authz.Deny, r1},
		"And: a fault before a refusal": {authz.And(broken, d1), authz.Deny, fault},
		"And: a fault after an unknown": {authz.And(unknown, broken), authz.Deny, fault},
		"Or: the last that has one":     {authz.Or(d1, d2, deny), authz.Deny, r2},
		"Or: an allow before a fault":   {authz.Or(allow, broken), authz.Allow, nil},
		"Or: a fault before an allow":   {authz.Or(broken, allow), authz.Deny, fault},
		"Or: unknown has no reason":     {authz.Or(d1, unknown), authz.Unknown, nil},
		"Not: a leaf under it has none": {authz.Not(allow), authz.Deny, nil},
		"Not: refusal turned":           {authz.Not(d1), authz.Allow, nil},
		"Not: a fault":                  {authz.Not(broken), authz.Deny, fault},
		"Not of Or of a fault":          {authz.Not(authz.Or(d1, broken)), authz.Deny, fault},
		"a wrapped refusal":             {authz.And(&leaf{err: fmt.Errorf("x: %w", r1)}), authz.Deny, r1},
		"a typed nil beside Deny":       {authz.And(&leaf{err: typedNil}), authz.Deny, nil},
		"a typed nil beside Allow":      {authz.And(&leaf{d: authz.Allow, err: typedNil}), authz.Allow, nil},
	} {
		d, err := x.p.Decide(access("GET", alice, nil))
		if d != x.want || !errors.Is(err, x.err) || x.err == nil && err != nil {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	for name, p := range map[string]authz.Permission{
		"a refusal beside Allow":   &leaf{d: authz.Allow, err: r1},
		"a refusal beside Unknown": &leaf{d: authz.Unknown, err: r1},
		"no decision at all":       &leaf{d: 7},
	} {
		for _, wrapped := range []authz.Permission{authz.And(p), authz.Or(p, deny), authz.Not(p), authz.Not(authz.Not(p))} {
			d, err := wrapped.Decide(access("GET", alice, nil))
			var refusal *authn.Error
			if d != authz.Deny || err == nil || errors.As(err, &refusal) {
				t.Errorf("%s in %v: %v, %v; want a fault", name, wrapped, d, err)
			}
		}
		if err := authz.Require(p).Check(httptest.NewRequest("GET", "/", nil)); err == nil {
			t.Errorf("%s passes a guard", name)
		}
	}
	first, second := &leaf{}, &leaf{d: authz.Allow}
	authz.And(first, second).Decide(access("GET", alice, nil))
	authz.Or(second, first).Decide(access("GET", alice, nil))
	if first.asked != 1 || second.asked != 1 {
		t.Errorf("asked %d and %d times: both stop at the first that decides", first.asked, second.asked)
	}
}

// wrapped is a Permission of another package that calls one of this package.
type wrapped struct{ authz.Permission }

func (w wrapped) Decide(a authz.Access) (authz.Decision, error) { return w.Permission.Decide(a) }

// A wrapper changes no decision, wherever it is in an expression and whether or not the object is
// loaded.
func TestWrapped(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		p, around := expression(r, 3), expression(r, 1)
		for _, id := range []authn.Identity{alice, limited, anonymous, admin} {
			for _, object := range []any{nil, thing{owner: "alice"}, thing{owner: "bob", hidden: "x"}} {
				a := access("GET", id, object)
				for _, pair := range [][2]authz.Permission{
					{authz.Not(p), authz.Not(wrapped{p})},
					{authz.Or(around, authz.Not(p)), authz.Or(around, authz.Not(wrapped{p}))},
				} {
					want, _ := pair[0].Decide(a)
					if got, err := pair[1].Decide(a); got != want {
						t.Fatalf("%v by %+v about %+v: %v, wrapped %v, %v", pair[0], id, object, want, got, err)
					}
				}
			}
		}
	}
}

type thing struct{ owner, hidden string }

func byOwner(t thing) string { return t.owner }

// expression creates a random expression of permissions that depend on the object or on the
// identity.
func expression(r *rand.Rand, depth int) authz.Permission {
	if depth == 0 || r.IntN(4) == 0 {
		switch r.IntN(6) {
		case 0:
			return authz.OwnedBy(byOwner)
		case 1:
			return authz.On(func(_ authn.Identity, x thing) bool { return x.hidden == "" })
		case 2:
			return authz.ReadOnly
		case 3:
			return authz.IsAuthenticated
		case 4:
			return authz.IsAdmin
		default:
			return authz.HasScope("notes:read")
		}
	}
	switch r.IntN(3) {
	case 0:
		return authz.And(expression(r, depth-1), expression(r, depth-1))
	case 1:
		return authz.Or(expression(r, depth-1), expression(r, depth-1))
	default:
		return authz.Not(expression(r, depth-1))
	}
}

// If the request alone is denied or allowed, the object does not change that.
func TestLevelsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	seen := map[authz.Decision]int{}
	for range 20_000 {
		p := expression(r, 4)
		id := []authn.Identity{anonymous, alice, admin, limited, byClient, client}[r.IntN(6)]
		method := []string{"GET", "POST"}[r.IntN(2)]
		object := []thing{{owner: "alice"}, {owner: "bob"}, {owner: "", hidden: "x"}}[r.IntN(3)]
		before, err1 := p.Decide(access(method, id, nil))
		after, err2 := p.Decide(access(method, id, object))
		var e *authn.Error
		if err1 != nil && !errors.As(err1, &e) || err2 != nil && !errors.As(err2, &e) {
			t.Fatalf("%v: faults %v, %v", p, err1, err2)
		}
		if before != authz.Unknown && before != after || after == authz.Unknown {
			t.Fatalf("%v for %+v: %v without the object, %v with it", p, id, before, after)
		}
		seen[before]++
	}
	if len(seen) != 3 {
		t.Errorf("decisions seen: %v", seen)
	}
}

// holder is a user with permissions.
type holder struct {
	perms  string
	err    error
	loaded int
}

func (*holder) UserID() string { return "h" }
func (h *holder) HasPerm(_ context.Context, name string) (bool, error) {
	h.loaded++
	return strings.Contains(h.perms, name), h.err
}

func TestPermissions(t *testing.T) {
	with := func(id authn.Identity, perms string) authn.Identity {
		id.User = &holder{perms: perms}
		return id
	}
	foreign := alice
	foreign.Issuer = "https://other.example"
	n := authz.Not
	for _, x := range []struct {
		p      authz.Permission
		id     authn.Identity
		method string
		object any
		want   authz.Decision
	}{
		{authz.AllowAny, anonymous, "POST", nil, authz.Allow},
		{authz.IsAuthenticated, anonymous, "GET", nil, authz.Deny},
		{authz.IsAuthenticated, client, "GET", nil, authz.Allow},
		{n(authz.IsAuthenticated), anonymous, "GET", nil, authz.Allow},
		{authz.ReadOnly, anonymous, "HEAD", nil, authz.Allow},
		{authz.ReadOnly, alice, "DELETE", nil, authz.Deny},
		{authz.IsAuthenticatedOrReadOnly, anonymous, "OPTIONS", nil, authz.Allow},
		{authz.IsAuthenticatedOrReadOnly, anonymous, "POST", nil, authz.Deny},
		{authz.IsAuthenticatedOrReadOnly, alice, "POST", nil, authz.Allow},

		{authz.IsAdmin, admin, "GET", nil, authz.Allow},
		{authz.IsAdmin, alice, "GET", nil, authz.Deny},
		{n(authz.IsAdmin), alice, "GET", nil, authz.Allow},
		// A denial for lack of information stays a denial under Not.
		{authz.IsAdmin, limited, "GET", nil, authz.Deny},
		{authz.IsAdmin, nothing, "GET", nil, authz.Deny},
		{authz.IsAdmin, byClient, "GET", nil, authz.Deny},
		{n(authz.HasRole("banned")), anonymous, "GET", nil, authz.Deny},
		{n(authz.HasRole("banned")), limited, "GET", nil, authz.Deny},
		{n(authz.HasRole("banned")), byClient, "GET", nil, authz.Deny},
		{n(authz.HasRole("banned")), client, "GET", nil, authz.Deny},
		{n(authz.HasRole("banned")), alice, "GET", nil, authz.Allow},
		{n(n(authz.HasRole("banned"))), anonymous, "GET", nil, authz.Deny},
		{n(authz.And(authz.HasRole("banned"), authz.AllowAny)), anonymous, "GET", nil, authz.Deny},
		{n(authz.Or(authz.HasRole("banned"), authz.IsAuthenticated)), anonymous, "GET", nil, authz.Deny},

		{authz.HasPerm("app.add_x"), with(alice, "app.add_x"), "GET", nil, authz.Allow},
		{authz.HasPerm("app.add_x"), with(alice, ""), "GET", nil, authz.Deny},
		{authz.HasPerm("app.add_x"), with(limited, "app.add_x"), "GET", nil, authz.Deny},
		{authz.HasPerm("app.add_x"), alice, "GET", nil, authz.Deny},
		{n(authz.HasPerm("app.banned")), alice, "GET", nil, authz.Deny}, // nobody to ask
		{n(authz.HasPerm("app.banned")), with(alice, ""), "GET", nil, authz.Allow},
		{n(authz.HasPerm("app.banned")), with(anonymous, ""), "GET", nil, authz.Deny},

		{authz.HasScope("notes:read"), alice, "GET", nil, authz.Allow}, // not limited by scopes
		{authz.HasScope("notes:read"), limited, "GET", nil, authz.Allow},
		{authz.HasScope("notes:read", "notes:write"), limited, "GET", nil, authz.Deny},
		{authz.HasScope("notes:read", "notes:write"), byClient, "GET", nil, authz.Allow},
		{authz.HasScope("notes:read"), nothing, "GET", nil, authz.Deny},
		{authz.HasScope("notes:read"), anonymous, "GET", nil, authz.Deny},
		{authz.HasScope("notes:read"), authn.Identity{Client: "c"}, "GET", nil, authz.Deny},
		{n(authz.HasScope("notes:read")), anonymous, "GET", nil, authz.Deny},

		{authz.ViaScheme("basic", "token"), alice, "GET", nil, authz.Allow},
		{authz.ViaScheme("basic"), alice, "GET", nil, authz.Deny},
		{n(authz.ViaScheme("basic")), alice, "GET", nil, authz.Allow},
		{n(authz.ViaScheme("basic")), anonymous, "GET", nil, authz.Deny},

		{authz.ScopeGrants("notes:read", authz.IsAdmin), limited, "GET", nil, authz.Allow},
		{authz.ScopeGrants("notes:read", authz.IsAdmin), byClient, "GET", nil, authz.Allow},
		{authz.ScopeGrants("notes:write", authz.IsAdmin), limited, "GET", nil, authz.Deny},
		{authz.ScopeGrants("notes:write", authz.IsAuthenticated), client, "GET", nil, authz.Allow},
		{authz.ScopeGrants("notes:write", authz.IsAdmin), client, "GET", nil, authz.Deny}, // acts for no user
		{authz.ScopeGrants("notes:read", authz.IsAdmin), admin, "GET", nil, authz.Allow},
		{authz.ScopeGrants("notes:read", authz.IsAdmin), alice, "GET", nil, authz.Deny},
		{authz.ScopeGrants("notes:read", authz.HasPerm("app.x")), with(limited, "app.x"), "GET", nil, authz.Allow},

		{authz.If(func(id authn.Identity) bool { return id.Subject == "alice" }), alice, "GET", nil, authz.Allow},
		{authz.OwnedBy(byOwner), alice, "GET", nil, authz.Unknown},
		{authz.OwnedBy(byOwner), alice, "GET", thing{owner: "alice"}, authz.Allow},
		{authz.OwnedBy(byOwner), alice, "GET", thing{owner: "bob"}, authz.Deny},
		{authz.OwnedBy(byOwner), client, "GET", thing{}, authz.Deny}, // two empty strings are no owner
		{authz.OwnedBy(byOwner), anonymous, "GET", thing{}, authz.Deny},
		{authz.OwnedBy(byOwner), foreign, "GET", thing{owner: "alice"}, authz.Deny},
		{authz.Or(authz.OwnedBy(byOwner), authz.IsAdmin), admin, "GET", nil, authz.Allow},
		{authz.Or(authz.OwnedBy(byOwner), authz.IsAdmin), alice, "GET", nil, authz.Unknown},

		{authz.ModelPermissions("app", "x"), anonymous, "GET", nil, authz.Deny},
		{authz.ModelPermissions("app", "x"), with(alice, ""), "GET", nil, authz.Allow},
		{authz.ModelPermissions("app", "x"), with(alice, ""), "HEAD", nil, authz.Allow},
		{authz.ModelPermissionsWithView("app", "x"), with(alice, ""), "GET", nil, authz.Deny},
		{authz.ModelPermissionsWithView("app", "x"), with(alice, "app.view_x"), "OPTIONS", nil, authz.Allow},
		{authz.ModelPermissions("app", "x"), with(alice, "app.change_x"), "POST", nil, authz.Deny},
		{authz.ModelPermissions("app", "x"), with(alice, "app.add_x"), "POST", nil, authz.Allow},
		{authz.ModelPermissions("app", "x"), with(alice, "app.change_x"), "PUT", nil, authz.Allow},
		{authz.ModelPermissions("app", "x"), with(alice, "app.change_x"), "PATCH", nil, authz.Allow},
		{authz.ModelPermissions("app", "x"), with(alice, "app.delete_x"), "DELETE", nil, authz.Allow},
		{authz.ModelPermissions("app", "x"), with(alice, "app.delete_x"), "FOO", nil, authz.Deny},
	} {
		d, err := x.p.Decide(access(x.method, x.id, x.object))
		var refusal *authn.Error
		if d != x.want || err != nil && !errors.As(err, &refusal) {
			t.Errorf("%v, %s by %+v about %+v: %v, %v; want %v", x.p, x.method, x.id, x.object, d, err, x.want)
		}
	}
}

// guarded runs a guard behind a real middleware that accepts id.
func guarded(h http.Handler, id authn.Identity, method string) *httptest.ResponseRecorder {
	scheme := authn.Func(func(*http.Request) (authn.Identity, error) {
		if !id.Authenticated() {
			return authn.Identity{}, authn.ErrNoCredentials
		}
		return id, nil
	})
	w := httptest.NewRecorder()
	m := authn.New(challenging{scheme}, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
	m.Handler(h).ServeHTTP(w, httptest.NewRequest(method, "/", nil))
	return w
}

type challenging struct{ authn.Func }

func (challenging) Challenge(_ *http.Request, err error) string {
	var refused *authn.Error
	if errors.As(err, &refused) && refused.Code == authn.CodeInsufficientScope {
		return authn.BearerChallenge{}.For(err)
	}
	return "Test"
}

func TestGuard(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "in") })
	why := authn.PermissionDenied("Only on weekdays.")
	for name, x := range map[string]struct {
		g    authz.Guard
		id   authn.Identity
		code int
		body string
	}{
		"allowed":                    {authz.Require(authz.IsAuthenticated), alice, 200, "in"},
		"anonymous":                  {authz.Require(authz.IsAuthenticated), anonymous, 401, `{"detail":"Authentication credentials were not provided."}`},
		"anonymous, with a reason":   {authz.Require(&leaf{err: why}), anonymous, 401, `{"detail":"Authentication credentials were not provided."}`},
		"refused":                    {authz.Require(authz.IsAdmin), alice, 403, `{"detail":"You do not have permission to perform this action."}`},
		"refused, with a reason":     {authz.Require(authz.IsAuthenticated, authz.Or(authz.IsAdmin, &leaf{err: why})), alice, 403, `{"detail":"Only on weekdays."}`},
		"unknown":                    {authz.Require(authz.OwnedBy(byOwner)), alice, 403, `{"detail":"You do not have permission to perform this action."}`},
		"unknown and anonymous":      {authz.Require(authz.OwnedBy(byOwner)), anonymous, 401, `{"detail":"Authentication credentials were not provided."}`},
		"fault":                      {authz.Require(&leaf{d: authz.Allow, err: errors.New("down")}), alice, 503, `{"detail":"Service temporarily unavailable, try again later."}`},
		"permissions cannot be read": {authz.Require(authz.HasPerm("a.b")), authn.Identity{Subject: "1", User: &holder{err: authn.PermissionDenied("x")}}, 503, `{"detail":"Service temporarily unavailable, try again later."}`},
		"zero guard":                 {authz.Guard{}, admin, 403, `{"detail":"You do not have permission to perform this action."}`},
		"a status of its own":        {authz.Require(&leaf{err: authn.NotFound("")}), anonymous, 404, `{"detail":"Not found."}`},
		"scope":                      {authz.Require(authz.HasScope("a", "b")), limited, 403, `{"detail":"You do not have permission to perform this action."}`},
		"method":                     {authz.Require(authz.ByMethod(map[string]authz.Permission{"PUT": authz.AllowAny})), alice, 405, `{"detail":"Method \"GET\" not allowed."}`},
	} {
		got := guarded(x.g.Handler(ok), x.id, "GET")
		if got.Code != x.code || got.Body.String() != x.body {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
		want := map[int]string{401: "Test"}[x.code]
		if name == "scope" {
			want = `Bearer error="insufficient_scope", scope="a b"`
		}
		if challenge := got.Header().Get("WWW-Authenticate"); challenge != want {
			t.Errorf("%s: challenge %q", name, challenge)
		}
	}
}

func TestHandleObject(t *testing.T) {
	loaded := 0
	var object any
	var loadErr error
	load := func(*http.Request) (thing, error) {
		loaded++
		x, _ := object.(thing)
		return x, loadErr
	}
	show := func(w http.ResponseWriter, _ *http.Request, x thing) { fmt.Fprint(w, x.owner) }
	ownOrAdmin := authz.Require(authz.IsAuthenticated, authz.Or(authz.OwnedBy(byOwner), authz.IsAdmin))
	hidden := ownOrAdmin.Hide(authz.OwnedBy(byOwner))
	for name, x := range map[string]struct {
		g       authz.Guard
		id      authn.Identity
		object  thing
		loadErr error
		code    int
		loads   int
	}{
		"owner":                        {ownOrAdmin, alice, thing{owner: "alice"}, nil, 200, 1},
		"admin":                        {ownOrAdmin, admin, thing{owner: "alice"}, nil, 200, 1},
		"somebody else":                {ownOrAdmin, alice, thing{owner: "bob"}, nil, 403, 1},
		"anonymous: nothing is loaded": {ownOrAdmin, anonymous, thing{owner: "bob"}, nil, 401, 0},
		"absent":                       {ownOrAdmin, alice, thing{}, authn.NotFound(""), 404, 1},
		"store is down":                {ownOrAdmin, alice, thing{}, authn.Undecided(errors.New("down")), 503, 1},
		"a mistake of the program":     {ownOrAdmin, alice, thing{}, errors.New("cast"), 500, 1},
		"hidden":                       {hidden, alice, thing{owner: "bob"}, nil, 404, 1},
		"hidden, readable":             {authz.Require(authz.IsAdmin).Hide(authz.AllowAny), alice, thing{}, nil, 403, 0},
		"readable, not writable":       {authz.Require(authz.On(func(authn.Identity, thing) bool { return false })).Hide(authz.IsAuthenticated), alice, thing{}, nil, 403, 1},
		"hidden from the anonymous":    {authz.Require(authz.OwnedBy(byOwner)).Hide(authz.OwnedBy(byOwner)), anonymous, thing{owner: "bob"}, nil, 404, 1},
	} {
		loaded, object, loadErr = 0, x.object, x.loadErr
		got := guarded(authz.HandleObject(x.g, load, show), x.id, "GET")
		if got.Code != x.code || loaded != x.loads {
			t.Errorf("%s: %d %s, loaded %d times", name, got.Code, got.Body, loaded)
		}
	}
	// The response for a hidden object equals the one for an absent object, byte for byte.
	object, loadErr = thing{owner: "bob"}, nil
	a := guarded(authz.HandleObject(hidden, load, show), alice, "GET")
	loadErr = authn.NotFound("")
	b := guarded(authz.HandleObject(hidden, load, show), alice, "GET")
	if fmt.Sprint(a.Code, a.Header(), a.Body) != fmt.Sprint(b.Code, b.Header(), b.Body) {
		t.Errorf("hidden %v %v, absent %v %v", a.Header(), a.Body, b.Header(), b.Body)
	}
	wrong := authz.HandleObject(ownOrAdmin, func(*http.Request) (string, error) { return "x", nil }, func(http.ResponseWriter, *http.Request, string) { t.Error("reached") })
	if got := guarded(wrong, alice, "GET"); got.Code != 500 {
		t.Errorf("a wrong type: %d", got.Code)
	}
	pointer := authz.Require(authz.OwnedBy(func(x *thing) string { return x.owner }))
	if got := guarded(authz.HandleObject(pointer, func(*http.Request) (*thing, error) { return nil, nil }, func(http.ResponseWriter, *http.Request, *thing) { t.Error("reached") }), alice, "GET"); got.Code != 500 {
		t.Errorf("a nil object: %d", got.Code)
	}
	if err := ownOrAdmin.CheckObject(authntest.As(httptest.NewRequest("GET", "/", nil), alice), nil); err == nil {
		t.Error("an object that is not loaded passes")
	}
}

// Guard.Handler denies if a handler forgets CheckObject. A handler that calls both Check and
// CheckObject gets the same decision from both.
func TestCheckByHand(t *testing.T) {
	g := authz.Require(authz.OwnedBy(byOwner))
	r := authntest.As(httptest.NewRequest("GET", "/", nil), alice)
	if err := g.Check(r); err != nil {
		t.Errorf("before the object is loaded: %v", err)
	}
	if err := g.CheckObject(r, thing{owner: "alice"}); err != nil {
		t.Error(err)
	}
	if err := g.CheckObject(r, thing{owner: "bob"}); err == nil {
		t.Error("somebody else's object passes")
	}
}

func TestConstruction(t *testing.T) {
	for name, f := range map[string]func(){
		"Require()": func() { authz.Require() }, "Require(nil)": func() { authz.Require(nil) }, "And()": func() { authz.And() }, "And(nil)": func() { authz.And(authz.AllowAny, nil) },
		"Or()": func() { authz.Or() }, "Or(nil)": func() { authz.Or(nil) }, "Not(nil)": func() { authz.Not(nil) }, "If(nil)": func() { authz.If(nil) },
		"HasScope()": func() { authz.HasScope() }, "HasScope(a b)": func() { authz.HasScope("a b") }, `HasScope(")`: func() { authz.HasScope(`"`) }, "HasRole()": func() { authz.HasRole("") },
		"HasPerm()": func() { authz.HasPerm("") }, "ViaScheme()": func() { authz.ViaScheme() }, "Hide(nil)": func() { authz.Require(authz.AllowAny).Hide(nil) },
		"On(nil)": func() { authz.On[thing](nil) }, "OwnedBy(nil)": func() { authz.OwnedBy[thing](nil) }, "ByMethod()": func() { authz.ByMethod(nil) }, "NewMux(nil)": func() { authz.NewMux(nil) },
		"ByMethod(nil)": func() { authz.ByMethod(map[string]authz.Permission{"GET": nil}) }, "ScopeGrants(nil)": func() { authz.ScopeGrants("a", nil) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil {
					t.Errorf("%s was taken", name)
				} else if text, ok := v.(string); !ok || !strings.HasPrefix(text, "authz: ") {
					t.Errorf("%s: %v", name, v)
				}
			}()
			f()
		}()
	}
}

func TestGuardAllocatesNothing(t *testing.T) {
	r := authntest.As(httptest.NewRequest("GET", "/", nil), admin)
	g := authz.Require(authz.IsAuthenticated, authz.Or(authz.HasRole("x"), authz.IsAdmin, authz.ReadOnly))
	if n := testing.AllocsPerRun(100, func() {
		if g.Check(r) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
