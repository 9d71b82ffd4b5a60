package authz_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

type pointer struct{}

func (p *pointer) Decide(authz.Access) (authz.Decision, error) { return authz.Allow, nil } // takes nil too

type function func(authz.Access) (authz.Decision, error)

func (f function) Decide(a authz.Access) (authz.Decision, error) { return f(a) }

type around struct{ authz.Permission }

type aroundPointer struct{ *pointer }

type list []string

func (list) Decide(authz.Access) (authz.Decision, error) { return authz.Allow, nil }

// A nil anywhere in an expression panics at construction, not at a request.
func TestNilPermissions(t *testing.T) {
	for name, p := range map[string]authz.Permission{
		"nil": nil, "a nil pointer": (*pointer)(nil), "a nil function": function(nil), "an embedded nil": around{}, "a pointer to that": &around{}, "embedded twice": around{around{}},
		"an embedded nil pointer": aroundPointer{}, "a nil leaf": (*leaf)(nil), "an embedded nil function": around{function(nil)},
	} {
		for where, f := range map[string]func(){
			"Require": func() { authz.Require(p) }, "Require, second": func() { authz.Require(authz.AllowAny, p) }, "And": func() { authz.And(authz.AllowAny, p) }, "Or": func() { authz.Or(p, authz.AllowAny) }, "Not": func() { authz.Not(p) },
			"ByMethod": func() { authz.ByMethod(map[string]authz.Permission{"GET": p}) }, "ScopeGrants": func() { authz.ScopeGrants("a", p) }, "Hide": func() { authz.Require(authz.AllowAny).Hide(p) },
			"Mux": func() { quietMux(alice).HandleFunc("/x", say, p) }, "deeper": func() { authz.Require(authz.And(authz.Or(authz.Not(p)))) },
		} {
			t.Run("edge_A19/"+where+"/"+name, func(t *testing.T) {
				if text := panicText(f); !strings.HasPrefix(text, "authz: ") {
					t.Errorf("taken: %q", text)
				}
			})
		}
	}
	for name, f := range map[string]func(){
		"Guard.Handler": func() { authz.Require(authz.AllowAny).Handler(nil) }, "Guard.HandlerFunc": func() { authz.Require(authz.AllowAny).HandlerFunc(nil) }, "Mux.Handle": func() { quietMux(alice).Handle("/x", nil, authz.AllowAny) },
		"Mux.HandleFunc": func() { quietMux(alice).HandleFunc("/x", nil, authz.AllowAny) }, "Mux.Public": func() { quietMux(alice).Public("/x", http.HandlerFunc(nil)) }, "RequirePlainPath": func() { authz.RequirePlainPath(nil) },
		"InsecureAllowAnyPath": func() { authz.InsecureAllowAnyPath((*http.ServeMux)(nil)) },
	} {
		if text := panicText(f); !strings.HasPrefix(text, "authz: ") {
			t.Errorf("edge_A19: a nil handler of %s is taken: %q", name, text)
		}
	}
	// A value that is nil but can decide is accepted.
	for _, p := range []authz.Permission{list(nil), around{list(nil)}, &pointer{}, aroundPointer{&pointer{}}} {
		if text := panicText(func() { authz.Require(authz.And(p)) }); text != "" {
			t.Errorf("edge_A19: %T: %s", p, text)
		}
	}
}

// secret is the text of a panic; no log may hold it.
const secret = "canary-5e11-hunter2"

// named also panics in String.
type named struct{ function }

func (named) String() string { panic(secret) }

// A panic in a function that a guard calls is answered with 500. It neither drops the connection
// nor allows the request.
func TestPanics_attack_264(t *testing.T) {
	values := map[string]func(){
		"a text": func() { panic(secret) }, "an error": func() { panic(errors.New(secret)) }, "a refusal": func() { panic(authn.NotFound(secret)) }, "a runtime error": func() { _ = []int{}[len(secret)] },
		"nothing": func() { panic(nil) }, "abort": func() { panic(http.ErrAbortHandler) },
	}
	for what, boom := range values {
		leaf := function(func(authz.Access) (authz.Decision, error) { boom(); return authz.Allow, nil })
		onObject := authz.On(func(authn.Identity, int) bool { boom(); return true })
		load := func(*http.Request) (int, error) { return 1, nil }
		show := func(w http.ResponseWriter, _ *http.Request, _ int) { fmt.Fprint(w, "in") }
		in := http.HandlerFunc(say)
		user := authn.Identity{Subject: "1", Scheme: "token", User: &account{func() (bool, error) { boom(); return true, nil }}}
		for name, h := range map[string]http.Handler{
			"leaf": authz.Require(leaf).Handler(in), "And": authz.Require(authz.AllowAny, leaf).Handler(in), "Or": authz.Require(authz.Or(authz.IsAdmin, leaf)).Handler(in), "Not": authz.Require(authz.Not(leaf)).Handler(in), "Not Not": authz.Require(authz.Not(authz.Not(leaf))).Handler(in),
			"If":       authz.Require(authz.If(func(authn.Identity) bool { boom(); return true })).Handler(in),
			"ByMethod": authz.Require(authz.ByMethod(map[string]authz.Permission{"GET": leaf})).Handler(in), "ScopeGrants": authz.Require(authz.ScopeGrants("a", leaf)).Handler(in), "named": authz.Require(named{leaf}).Handler(in),
			"HasPerm": authz.Require(authz.HasPerm("a.b")).Handler(in), "On": authz.HandleObject(authz.Require(onObject), load, show), "OwnedBy": authz.HandleObject(authz.Require(authz.OwnedBy(func(int) string { boom(); return "1" })), load, show),
			"read": authz.HandleObject(authz.Require(authz.On(func(authn.Identity, int) bool { return false })).Hide(leaf), load, show),
		} {
			t.Run("edge_A19/"+what+"/"+name, func(t *testing.T) {
				log := new(bytes.Buffer)
				m := authz.NewMux(authn.New(authn.Chain{fixed{"token", user}}, &authn.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}))
				m.Handle("/", authz.Require(authz.IsAuthenticated).Handler(h))
				if code := serveOn(t, m); code != 500 {
					t.Errorf("%d, want 500", code)
				}
				if text := log.String(); strings.Contains(text, secret) || !strings.Contains(text, "panicked (") || !strings.Contains(text, "stack=") || !strings.Contains(text, "level=ERROR") {
					t.Errorf("log %.300s", text)
				}
				_ = authz.WriteRoutes(log, m.Routes())
			})
		}
		t.Run("edge_A19/"+what+"/load", func(t *testing.T) {
			log := new(bytes.Buffer)
			m := authz.NewMux(authn.New(authn.Chain{fixed{"token", user}}, &authn.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}))
			m.Handle("/", authz.HandleObject(authz.Require(authz.IsAuthenticated), func(*http.Request) (int, error) { boom(); return 1, nil }, show))
			want := 500
			if what == "abort" { // of a handler: net/http's own
				want = 0
			}
			if code := serveOn(t, m); code != want || strings.Contains(log.String(), secret) {
				t.Errorf("%d, want %d; log %.200s", code, want, log)
			}
		})
	}
	t.Run("edge_A19/handlers are net/http's", func(t *testing.T) {
		m := quietMux(alice)
		m.HandleFunc("/", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, authz.AllowAny)
		if code := serveOn(t, m); code != 0 {
			t.Errorf("%d", code)
		}
	})
	t.Run("edge_A19/by hand", func(t *testing.T) {
		leaf := function(func(authz.Access) (authz.Decision, error) { panic(secret) })
		for _, p := range []authz.Permission{authz.And(leaf), authz.Or(leaf), authz.Not(leaf)} {
			if d, err := p.Decide(access("GET", alice, nil)); d != authz.Deny || err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("%v: %v, %v", p, d, err)
			}
		}
		err := authz.Require(leaf).Check(access("GET", alice, nil).Request)
		var coded interface{ StatusCode() int }
		if !errors.As(err, &coded) || coded.StatusCode() != 500 {
			t.Errorf("%v", err)
		}
	})
	t.Run("edge_A19/audit", func(t *testing.T) {
		auth := authn.New(authn.Chain{fixed{name: "token"}}, nil)
		p := named{func(authz.Access) (authz.Decision, error) { panic(secret) }}
		routes, err := authz.Audit(maps.All(map[string]http.Handler{"/x": auth.Handler(authz.Require(p).HandlerFunc(say))}), authz.RequirePlainPath(http.NotFoundHandler()))
		if err != nil || routes[0].Permission != "authz_test.named" || !routes[0].NoScope {
			t.Errorf("%+v, %v", routes, err)
		}
	})
}

// Any error of a permission is 503, unless the error's own status is 500.
func TestPermissionFaults(t *testing.T) {
	for name, x := range map[string]struct {
		err  error
		want int
	}{
		"any": {errors.New("down"), 503}, "no credentials": {authn.ErrNoCredentials, 503}, "unrecognized": {authn.ErrUnrecognized, 503}, "a client's status": {coded(404), 503}, "a wrapped one": {fmt.Errorf("x: %w", coded(500)), 500}, "503": {coded(503), 503},
		"a deadline": {context.DeadlineExceeded, 503},
	} {
		for where, h := range map[string]http.Handler{
			"leaf":   authz.Require(&leaf{d: authz.Allow, err: x.err}).HandlerFunc(say),
			"object": authz.HandleObject(authz.Require(authz.IsAuthenticated, authz.Or(&late{x.err})), func(*http.Request) (int, error) { return 1, nil }, func(http.ResponseWriter, *http.Request, int) { t.Error("reached") }),
			"read":   authz.HandleObject(authz.Require(authz.On(func(authn.Identity, int) bool { return false })).Hide(&leaf{err: x.err}), func(*http.Request) (int, error) { return 1, nil }, func(http.ResponseWriter, *http.Request, int) { t.Error("reached") }),
		} {
			t.Run("edge_C14/"+where+"/"+name, func(t *testing.T) {
				if got := guarded(h, alice, "GET"); got.Code != x.want {
					t.Errorf("%d %s, want %d", got.Code, got.Body, x.want)
				}
			})
		}
	}
}

// late fails when the object is loaded.
type late struct{ err error }

func (l *late) Decide(a authz.Access) (authz.Decision, error) {
	if a.Object == nil {
		return authz.Unknown, nil
	}
	return authz.Allow, l.err
}

type coded int

func (c coded) Error() string   { return "coded" }
func (c coded) StatusCode() int { return int(c) }
