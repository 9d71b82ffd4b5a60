package authn_test

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// A Keeper that returns no identity is an error, and nothing is kept.
func TestKeeperOfNobody(t *testing.T) {
	for name, id := range map[string]*authn.Identity{"none": nil, "zero": {}, "scheme only": {Scheme: "x", Roles: []string{"admin"}}} {
		k := newKeeper()
		k.id = id
		for _, a := range []authn.Authenticator{k, authn.Chain{absent, k}, plain{k}} {
			h := authn.New(a, &authn.Options{Logger: quiet}).Handler(http.HandlerFunc(who))
			for range 2 {
				if w := ask(h, "GET", "/", "Authorization: x"); w.Code != 503 {
					t.Errorf("%s: %d %s", name, w.Code, w.Body)
				}
			}
		}
		if id, err := (authn.Chain{k}).Authenticate(request()); err == nil || !reflect.DeepEqual(id, authn.Identity{}) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

// Values that the middleware adds to an identity are in the kept identity, but not in the scheme's
// own.
func TestKeptIsComplete(t *testing.T) {
	for name, c := range map[string]struct{ given, want authn.Identity }{
		"no scheme":       {authn.Identity{Subject: "1"}, authn.Identity{Subject: "1", Scheme: "keeper"}},
		"client":          {authn.Identity{Client: "c", Scheme: "x"}, authn.Identity{Client: "c", Scheme: "x", Scopes: []string{}}},
		"neither":         {authn.Identity{Client: "c"}, authn.Identity{Client: "c", Scheme: "keeper", Scopes: []string{}}},
		"complete":        {authn.Identity{Subject: "1", Scheme: "x"}, authn.Identity{Subject: "1", Scheme: "x"}},
		"complete client": {authn.Identity{Client: "c", Scheme: "x", Scopes: []string{"a"}}, authn.Identity{Client: "c", Scheme: "x", Scopes: []string{"a"}}},
	} {
		k, given := newKeeper(), c.given
		k.id = &given
		var got authn.Identity
		h := authn.New(k, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = authn.FromContext(r.Context()) }))
		for i := range 3 {
			if ask(h, "GET", "/", "Authorization: x"); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s, request %d: got %+v, want %+v", name, i, got, c.want)
			}
		}
		if !reflect.DeepEqual(given, c.given) {
			t.Errorf("%s: the scheme's identity became %+v", name, given)
		}
		if len(k.renewed) != 3 || k.asked.Load() != 1 {
			t.Errorf("%s: %d renewals, %d calls", name, len(k.renewed), k.asked.Load())
		}
		for _, seen := range k.renewed {
			if !reflect.DeepEqual(seen, c.want) {
				t.Errorf("%s: Renew got %+v", name, seen)
			}
		}
	}
}

// Later changes that a scheme makes to its own identity do not affect the kept identity.
func TestKeptIsACopyOfTheSchemes(t *testing.T) {
	k := newKeeper()
	k.id.Scopes = []string{"read"}
	var got authn.Identity
	h := authn.New(k, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = *authn.Peek(r.Context()) }))
	ask(h, "GET", "/", "Authorization: x")
	k.id.Roles[0], k.id.Scopes[0] = "admin", "all"
	if ask(h, "GET", "/", "Authorization: x"); got.Roles[0] != "staff" || got.Scopes[0] != "read" || k.asked.Load() != 1 {
		t.Errorf("%v %v", got.Roles, got.Scopes)
	}
}

// A request with a kept identity gets the same values as with its own.
func TestKeptLooksTheSame(t *testing.T) {
	type seen struct {
		FromContext, Later, Explained authn.Identity
		User                          account
		Loaded                        bool
		Trace                         int
		Steps, Events                 []authn.Outcome
		Body                          string
	}
	look := func(a authn.Authenticator) (out seen) {
		m := authn.New(a, &authn.Options{Trace: true, Logger: quiet, Observe: func(_ *http.Request, e authn.Event) { out.Events = append(out.Events, e.Outcome) }})
		h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			out.FromContext = authn.FromContext(ctx)
			out.User, out.Loaded = authn.UserFrom[account](ctx)
			out.Later = authn.FromContext(authn.WithIdentity(ctx, authn.Identity{Subject: "2"}))
			out.Trace = len(authn.TraceFrom(ctx))
			who(w, r)
		}))
		ask(h, "GET", "/", "Authorization: x")
		out.Body = ask(h, "GET", "/", "Authorization: x").Body.String()
		id, steps, err := m.Explain(request())
		must(t, err)
		out.Explained = id
		for _, s := range steps {
			out.Steps = append(out.Steps, s.Outcome)
		}
		return out
	}
	k := newKeeper()
	kept, own := look(authn.Chain{absent, k}), look(authn.Chain{absent, plain{k}})
	if k.asked.Load() != 1+3 {
		t.Errorf("called %d times", k.asked.Load())
	}
	if !reflect.DeepEqual(kept, own) || kept.User != "1" || !kept.Loaded || kept.Explained.Subject != "1" || kept.Trace != 2 {
		t.Errorf("kept\n%#v, by value\n%#v", kept, own)
	}
	// A request without credentials is anonymous: no identity of an earlier one.
	m := authn.New(authn.Chain{k}, nil)
	h := m.Handler(http.HandlerFunc(who))
	for range 2 {
		if w := ask(h, "GET", "/", "Authorization: x"); w.Body.String() != "1/keeper" {
			t.Errorf("%q", w.Body)
		}
		if w := ask(h, "GET", "/"); w.Body.String() != "/" {
			t.Errorf("anonymous: %q", w.Body)
		}
	}
	inner := authn.New(authn.Chain{}, nil).Handler(http.HandlerFunc(who))
	if w := ask(m.Handler(inner), "GET", "/", "Authorization: x"); w.Body.String() != "/" {
		t.Errorf("behind a second middleware: %q", w.Body)
	}
}

// Changes that a handler makes to its identity, in place or not, are not visible in other requests
// and guards. The test uses 64 concurrent requests of two accounts whose scheme returns the same
// list.
func TestKeptIsACopyForEach(t *testing.T) {
	for _, size := range []int{1, 9} { // with and without room in the request
		roles := make([]string, size, size+8)
		for i := range roles {
			roles[i] = "staff"
		}
		k := &two{roles: roles}
		h := authn.New(k, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			want := r.Header.Get("Authorization")
			for range 2 {
				id, guards := authn.FromContext(ctx), authn.Peek(ctx)
				u, _ := authn.UserFrom[*storage.Account](ctx)
				for _, list := range [][]string{id.Roles, guards.Roles, id.Scopes, u.Roles, guards.User.(*storage.Account).Roles} {
					if slices.ContainsFunc(list, func(s string) bool { return s != "staff" }) || len(list) != size {
						t.Errorf("%s got %v", want, list)
					}
				}
				if id.Subject != want || u.ID != want || guards.User.UserID() != want {
					t.Errorf("%s got %+v, %+v", want, id, u)
				}
				id.Subject, id.Client, id.User = "root", "c", nil
				id.Roles = append(id.Roles[:0], "admin")
				id.Scopes[0] = "all"
				_ = append(id.Scopes, "all")
				u.Roles[0], u.ID, u.Name = "admin", "root", "root"
				if size == 1 {
					break // what FromContext gave first is in the request
				}
			}
		}))
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for range 20 {
					ask(h, "GET", "/", "Authorization: "+[]string{"alice", "bob"}[i%2])
				}
			})
		}
		wg.Wait()
		if slices.Contains(roles[:cap(roles)], "admin") {
			t.Error("the scheme's list was changed")
		}
	}
}

// two accepts two accounts, and gives both one list.
type two struct{ roles []string }

func (*two) Headers() []string                        { return []string{"Authorization"} }
func (*two) Presented(r *http.Request) (string, bool) { return r.Header.Get("Authorization"), false }
func (k *two) Authenticate(r *http.Request) (authn.Identity, error) {
	name := r.Header.Get("Authorization")
	u := storage.User{ID: name, Roles: k.roles}.WithPermissions(nil)
	return authn.Identity{Subject: name, Roles: k.roles, Scopes: k.roles, User: u, Credential: &storage.StaticToken{}}.Kept(k, authn.Keep{Lease: new(lease)}), nil
}

// pointed is an account that cannot be copied.
type pointed struct{ name *string }

func (p pointed) UserID() string { return *p.name }

// cloning is one that can.
type cloning struct{ name *string }

func (c *cloning) UserID() string { return *c.name }
func (c *cloning) CloneUser() any { name := *c.name; return &cloning{&name} }

// misled has a CloneUser of the wrong type.
type misled struct{ pointed }

func (misled) CloneUser() any { return 1 }

type fields struct {
	id string
	n  [2]int
}

func (f fields) UserID() string { return f.id }

// Only identities that can be copied for guards are kept, so that no handler changes what guards
// read.
func TestKeptAccounts(t *testing.T) {
	name := "x"
	for what, c := range map[string]struct {
		user       authn.User
		credential any
		kept       bool
	}{
		"none": {nil, nil, true}, "text": {account("x"), "record", true}, "fields": {fields{id: "x", n: [2]int{1}}, [2]int{}, true}, "storage": {&storage.Account{User: storage.User{ID: "x"}}, &storage.Credential{}, true},
		"with CloneUser": {&cloning{&name}, nil, true}, "nil pointer": {(*cloning)(nil), nil, false}, "nil record": {nil, (*storage.Credential)(nil), false},
		"with a pointer": {pointed{&name}, nil, false}, "misled": {misled{pointed{&name}}, nil, false}, "record with a pointer": {nil, &name, false}, "list": {nil, []string{"x"}, false},
		"map": {nil, map[string]string{}, false}, "struct of any": {nil, struct{ v any }{1}, false},
	} {
		k := newKeeper()
		k.id.User, k.id.Credential = c.user, c.credential
		want := int64(3)
		if c.kept {
			want = 1
		}
		if n := k.times(t, k, nil); n != want {
			t.Errorf("%s: called %d times, want %d", what, n, want)
		}
	}
}

// permissions counts how often they are read.
type permissions struct {
	storage.Permissions
	names []string
}

func (p *permissions) SubjectPermissions(context.Context, string) ([]string, error) {
	return p.names, nil
}

// A kept account reads its permissions for each request, with any store.
func TestKeptPermissions(t *testing.T) {
	p := &permissions{names: []string{"notes.add"}}
	k := newKeeper()
	k.id.User = storage.User{ID: "1", Active: true}.WithPermissions(p)
	var has [3]bool
	h := authn.New(k, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		u, _ := authn.UserFrom[*storage.Account](ctx)
		for i, u := range []*storage.Account{u, authn.FromContext(ctx).User.(*storage.Account), authn.Peek(ctx).User.(*storage.Account)} {
			has[i], _ = u.HasPerm(ctx, "notes.add")
		}
	}))
	for range 2 {
		if ask(h, "GET", "/", "Authorization: x"); has != [3]bool{true, true, true} {
			t.Error(has)
		}
	}
	p.names = nil
	if ask(h, "GET", "/", "Authorization: x"); has != [3]bool{} || k.asked.Load() != 1 {
		t.Error(has, k.asked.Load())
	}
}
