package authz_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

type fixed struct {
	name string
	id   authn.Identity
}

func (f fixed) Name() string { return f.name }
func (f fixed) Authenticate(*http.Request) (authn.Identity, error) {
	if !f.id.Authenticated() {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	return f.id, nil
}

func say(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s by %s", r.Pattern, authn.FromContext(r.Context()).Subject)
}

func TestMux(t *testing.T) {
	m := authz.NewMux(authn.New(fixed{"token", alice}, nil))
	m.HandleFunc("GET /in", say, authz.IsAuthenticated)
	m.HandleFunc("GET /admin", say, authz.IsAdmin)
	m.Public("GET /bare", http.HandlerFunc(say))
	m.With(authn.New(fixed{"basic", admin}, nil)).HandleFunc("GET /other", say, authz.IsAdmin)
	m.Handle("GET /guarded", authz.Require(authz.IsAdmin).HandlerFunc(say))
	for path, want := range map[string]string{
		"/in": "200 GET /in by alice", "/admin": "403", "/bare": "200 GET /bare by ", "/other": "200 GET /other by root", "/guarded": "403", "/none": "404", "/admin/": "404",
	} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if got := fmt.Sprintf("%d %s", w.Code, w.Body); got != want && !strings.HasPrefix(got, want+" ") {
			t.Errorf("%s: %s", path, got)
		}
	}
	for name, f := range map[string]func(){
		"no permission": func() { m.HandleFunc("/x", say) }, "nil": func() { m.HandleFunc("/y", say, nil) }, "only a middleware": func() { m.Handle("/z", authn.New(fixed{}, nil).Handler(http.HandlerFunc(say))) },
		"With(nil)": func() { m.With(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken", name)
				}
			}()
			f()
		}()
	}
	if n := len(m.Routes()); n != 5 {
		t.Errorf("%d routes: a refused one is not listed", n)
	}
}

// The response for a path with other methods reveals nothing to anonymous callers.
func TestOtherMethods(t *testing.T) {
	for id, want := range map[string]int{"": 401, "alice": 405} {
		m := authz.NewMux(authn.New(challenging{authn.Func(func(*http.Request) (authn.Identity, error) {
			if id == "" {
				return authn.Identity{}, authn.ErrNoCredentials
			}
			return authn.Identity{Subject: id}, nil
		})}, nil))
		m.HandleFunc("GET /in/{x}", say, authz.IsAuthenticated)
		m.HandleFunc("PUT /in/{x}", say, authz.AllowAny)
		m.Public("POST /login", http.HandlerFunc(say))
		m.HandleFunc("GET /open", say, authz.AllowAny)
		for _, method := range []string{"OPTIONS", "TRACE", "DELETE", "FOO"} {
			w := httptest.NewRecorder()
			m.ServeHTTP(w, httptest.NewRequest(method, "/in/1", nil))
			if w.Code != want || want == 405 && w.Header().Get("Allow") != "GET, HEAD, PUT" || !strings.HasPrefix(w.Body.String(), `{"detail":`) {
				t.Errorf("%s by %q: %d %v %s", method, id, w.Code, w.Header(), w.Body)
			}
			w = httptest.NewRecorder()
			m.ServeHTTP(w, httptest.NewRequest(method, "/login", nil))
			if w.Code != 405 || w.Header().Get("Allow") != "POST" {
				t.Errorf("%s /login by %q: %d", method, id, w.Code)
			}
			w = httptest.NewRecorder()
			m.ServeHTTP(w, httptest.NewRequest(method, "/open", nil))
			if w.Code != 405 {
				t.Errorf("%s /open by %q: %d", method, id, w.Code)
			}
		}
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest("GET", "/none", nil))
		if w.Code != 404 {
			t.Errorf("an absent path: %d", w.Code)
		}
	}
}

// wrapper is a third-party middleware.
type wrapper struct{ http.Handler }

func (w wrapper) Unwrap() http.Handler { return w.Handler }

// Routes of another router, as its walk function returns them.
func TestAudit(t *testing.T) {
	auth := authn.New(authn.Chain{fixed{name: "token"}, fixed{name: "basic"}}, nil)
	guard := authz.Require(authz.IsAuthenticated)
	handler := http.HandlerFunc(say)
	routes := map[string]http.Handler{
		"/good": auth.Handler(guard.Handler(handler)), "/wrapped": wrapper{auth.Handler(wrapper{guard.Handler(handler)})}, "/bare": auth.Public(handler),
		"/open": auth.Handler(handler), "/nothing": handler, "/unseen": http.StripPrefix("/x", guard.Handler(handler)),
	}
	routes["/by itself"] = auth.Public(wrapper{auth.Handler(handler)}) // an endpoint that authenticates by itself
	checked := authz.RequirePlainPath(http.NotFoundHandler())
	all, err := authz.Audit(maps.All(routes), checked)
	if len(all) != len(routes) || err == nil {
		t.Fatalf("%v, %v", all, err)
	}
	for pattern := range routes {
		bad := pattern == "/open" || pattern == "/nothing" || pattern == "/unseen"
		if strings.Contains(err.Error(), fmt.Sprintf("%q", pattern)) != bad {
			t.Errorf("%s: %v", pattern, err)
		}
	}
	for _, r := range all {
		if r.Public != strings.HasPrefix(r.Pattern, "/b") {
			t.Errorf("%+v", r)
		}
		if r.Pattern == "/wrapped" && (r.Permission != "IsAuthenticated" || strings.Join(r.Schemes, " ") != "token basic") {
			t.Errorf("%+v", r)
		}
	}
	delete(routes, "/open")
	delete(routes, "/nothing")
	delete(routes, "/unseen")
	if _, err := authz.Audit(maps.All(routes), checked); err != nil {
		t.Error(err)
	}
}

type Note struct{ Owner string }

func ExampleMux() {
	auth := authn.New(authn.Chain{fixed{name: "token"}, fixed{name: "basic"}}, nil)
	load := func(*http.Request) (Note, error) { return Note{}, authn.NotFound("") }
	show := func(http.ResponseWriter, *http.Request, Note) {}
	owner := authz.OwnedBy(func(n Note) string { return n.Owner })

	mux := authz.NewMux(auth)
	mux.HandleFunc("GET /notes", say, authz.IsAuthenticatedOrReadOnly)
	mux.Handle("PUT /notes/{id}", authz.HandleObject(authz.Require(authz.IsAuthenticated, authz.Or(owner, authz.IsAdmin)), load, show))
	mux.HandleFunc("DELETE /notes", say, authz.HasPerm("notes.delete_note"), authz.Not(authz.ViaScheme("basic")))
	mux.Public("POST /login", http.HandlerFunc(say))
	_ = authz.WriteRoutes(os.Stdout, mux.Routes())
	// Output:
	// ROUTE            SCHEMES       PERMISSION                                                            NOTES
	// GET /notes       token, basic  Or(ReadOnly, IsAuthenticated)                                         -
	// PUT /notes/{id}  token, basic  And(IsAuthenticated, Or(OwnedBy(authz_test.Note), HasRole("admin")))  no scope
	// DELETE /notes    token, basic  And(HasPerm("notes.delete_note"), Not(ViaScheme(basic)))              -
	// POST /login      -             (bare)                                                                -
}

// A permission of your own looks like a shipped one.
type onWeekdays struct{ today func() string }

func (p onWeekdays) Decide(authz.Access) (authz.Decision, error) {
	if day := p.today(); day == "Saturday" || day == "Sunday" {
		return authz.Deny, authn.PermissionDenied("Only on weekdays.")
	}
	return authz.Allow, nil
}

func ExamplePermission() {
	guard := authz.Require(authz.AllowAny, onWeekdays{func() string { return "Sunday" }})
	w := httptest.NewRecorder()
	guard.HandlerFunc(say).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(guard.String())
	// Output: And(AllowAny, authz_test.onWeekdays)
}
