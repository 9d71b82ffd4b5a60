package cached_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// An account that loses a role, or gets one, has its new roles at the next request of every scheme,
// although its identities are kept, and stays logged in.
func TestRolesOfKeptIdentities_attack_409(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		s := newSite(w, siteOptions{})
		w.must(w.s.CreateUser(w.ctx, storage.User{ID: "alice", Name: "alice", Active: true, Roles: []string{"admin", "staff"}}))
		roles := func(h header) (got []string, code int) {
			s.see = func(_ http.ResponseWriter, r *http.Request) {
				got = authn.FromContext(r.Context()).Roles
				if u, ok := authn.UserFrom[*storage.Account](r.Context()); ok && !slices.Equal(u.RolesByScope(), got) && len(got) > 0 {
					t.Errorf("the identity has %q, its account %q", got, u.Roles)
				} else if ok {
					got = u.RolesByScope()
				}
			}
			defer func() { s.see = nil }()
			code = s.status(h)
			return got, code
		}
		list := s.logIn("alice")
		for _, want := range [][]string{{"admin", "staff"}, {"staff"}, nil, {"admin"}} {
			err := w.s.InTx(w.ctx, func(ctx context.Context) error { return w.s.SetRoles(ctx, "alice", want...) })
			if len(want) != 1 { // both ways
				err = w.s.SetRoles(w.ctx, "alice", want...)
			}
			w.must(err)
			for _, c := range list {
				for range 4 { // the later ones are answered by what is kept
					if got, code := roles(c.header); code != 200 || !slices.Equal(got, want) {
						t.Errorf("%s: %d, roles %q, want %q", c.name, code, got, want)
					}
				}
				if !s.shared(c.header) {
					t.Errorf("%s: not kept", c.name)
				}
			}
		}
	})
}

// So it is for Basic, whose check of the password is kept.
func TestRolesOfKeptBasic_attack_409(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	hasher, err := password.NewHasher(nil)
	w.must(err)
	passwordtest.Weaken(hasher)
	checker, err := password.New(w.s, hasher, &password.Options{InsecureNoLimiter: true})
	w.must(err)
	kept, err := password.Cached(checker, nil)
	w.must(err)
	scheme, err := basic.New(kept, nil)
	w.must(err)
	u, err := checker.Register(w.ctx, password.NewUser{Name: "alice", Password: "wonderland-42", Roles: []string{"admin"}})
	w.must(err)
	var got []string
	h := authn.New(scheme, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = authn.FromContext(r.Context()).Roles }))
	for _, want := range [][]string{{"admin"}, nil, {"staff"}} {
		w.must(w.s.SetRoles(w.ctx, u.ID, want...))
		for range 3 {
			r, rec := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			r.SetBasicAuth("alice", "wonderland-42")
			if h.ServeHTTP(rec, r); rec.Code != 200 || !slices.Equal(got, want) {
				t.Errorf("%d, roles %q, want %q", rec.Code, got, want)
			}
		}
	}
}
