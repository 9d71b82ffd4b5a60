package cached_test

import (
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A verified password asks the store nothing, and what ends it holds at once.
func TestVerifiedPassword(t *testing.T) {
	hasher := passwordtest.New(t, nil)
	hash, err := hasher.Hash(t.Context(), "", "wonderland-42")
	must(t, err)
	for what, end := range map[string]func(*cached.Store) error{
		"disable": func(s *cached.Store) error { return s.SetActive(t.Context(), "alice", false) },
		"delete":  func(s *cached.Store) error { return s.DeleteUser(t.Context(), "alice") },
		"new password": func(s *cached.Store) error {
			other, err := hasher.Hash(t.Context(), "", "another one")
			must(t, err)
			return s.SetPassword(t.Context(), "alice", other)
		},
		"everywhere": func(s *cached.Store) error { _, err := s.BumpEpoch(t.Context(), "alice"); return err },
		"new hash": func(s *cached.Store) error {
			other, err := hasher.Hash(t.Context(), "", "another one")
			must(t, err)
			return s.ReplaceHash(t.Context(), "alice", hash, other)
		},
	} {
		w := newWorld(t, memory.New(nil), nil)
		w.must(w.base.CreateUser(w.ctx, storage.User{ID: "alice", Name: "alice", Password: hash, Active: true}))
		checker, err := password.New(w.s, hasher, &password.Options{InsecureNoLimiter: true, Clock: w.clock.now, FailureFloor: 1})
		w.must(err)
		c, err := password.Cached(checker, nil)
		w.must(err)
		check := func() error {
			login, err := c.CheckPassword(httptest.NewRequest("GET", "/", nil), "alice", "wonderland-42")
			if err == nil && login.Subject != "alice" {
				t.Errorf("%s: %+v", what, login)
			}
			return err
		}
		w.must(check())
		w.must(check())
		hashed := hasher.Hashed()
		if n := w.asked(func() { w.must(check()) }); n != 0 || hasher.Hashed() != hashed {
			t.Errorf("%s: a hit asked %d times, after %d hashes", what, n, hasher.Hashed()-hashed)
		}
		w.must(end(w.s))
		hashed = hasher.Hashed()
		if err := check(); (err == nil) != (what == "everywhere") || hasher.Hashed() != hashed+1 {
			t.Errorf("%s: then %v, after %d hashes", what, err, hasher.Hashed()-hashed)
		}
	}
}
