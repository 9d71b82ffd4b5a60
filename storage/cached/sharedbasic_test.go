package cached_test

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// basics is a Basic scheme over a world's store, with checkers that remember, and what it
// makes of a password from an address.
func basics(w *world) (verified authn.PasswordChecker, ask func(addr, password string) (*authn.Identity, error)) {
	w.Helper()
	hasher := passwordtest.New(w, nil)
	checker, err := password.New(w.s, hasher, &password.Options{InsecureNoLimiter: true, Clock: w.clock.now, Sleep: func(context.Context, time.Duration) {}})
	w.must(err)
	hash, err := hasher.Hash(w.ctx, "", "wonderland-42")
	w.must(err)
	w.must(w.s.CreateUser(w.ctx, storage.User{ID: "alice", Name: "alice", Password: hash, Active: true, Roles: []string{"admin"}, Created: now}))
	verified, err = password.Cached(checker, &password.CacheOptions{TTL: password.MaxCacheTTL})
	w.must(err)
	s, err := basic.New(verified, nil)
	w.must(err)
	h := peeking(s)
	return verified, func(addr, password string) (*authn.Identity, error) {
		r := httptest.NewRequest("GET", origin+"/", nil)
		r.RemoteAddr = addr + ":1234"
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("alice:"+password)))
		return h(r)
	}
}

// peeking is a middleware over a scheme, and what guards see of a request's identity.
func peeking(a authn.Authenticator) func(*http.Request) (*authn.Identity, error) {
	h := authn.New(a, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(*peeked).id = authn.Peek(r.Context())
	}))
	return func(r *http.Request) (*authn.Identity, error) {
		w := &peeked{ResponseRecorder: httptest.NewRecorder()}
		if h.ServeHTTP(w, r); w.id == nil {
			return nil, errors.New(http.StatusText(w.Code))
		}
		return w.id, nil
	}
}

type peeked struct {
	*httptest.ResponseRecorder
	id *authn.Identity
}

// A shared login is of one address, and of no use to who guesses: the first wrong password
// makes an end of it.
func TestSharedBasic(t *testing.T) {
	t.Run("attack_107_guesses_beside_a_shared_login", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		_, ask := basics(w)
		warm := func(addr string) (id *authn.Identity) {
			t.Helper()
			for range 4 {
				var err error
				if id, err = ask(addr, "wonderland-42"); err != nil {
					t.Fatal(err)
				}
			}
			if again, _ := ask(addr, "wonderland-42"); again != id {
				t.Fatal("not shared")
			}
			return id
		}
		here, there := warm("192.0.2.1"), warm("192.0.2.2")
		if here == there {
			t.Error("two addresses share a login")
		}
		for range 2 {
			if _, err := ask("192.0.2.1", "wonderland-43"); err == nil {
				t.Error("a wrong password is good")
			}
		}
		if id, err := ask("192.0.2.1", "wonderland-42"); err != nil || id == here {
			t.Errorf("%v: known after a guess", err)
		}
		if id, err := ask("192.0.2.2", "wonderland-42"); err != nil || id != there {
			t.Errorf("%v: a guess at one address ends the login of another", err)
		}
	})
}

// No request that begins after an end has returned is accepted by a shared login.
func TestSharedBasicRaces(t *testing.T) {
	for what, end := range map[string]func(*world, *cached.Store) error{
		"disable": func(w *world, s *cached.Store) error { return s.SetActive(w.ctx, "alice", false) },
		"delete":  func(w *world, s *cached.Store) error { return s.DeleteUser(w.ctx, "alice") },
		"set_password": func(w *world, s *cached.Store) error {
			return s.SetPassword(w.ctx, "alice", "other")
		},
	} {
		t.Run("attack_042_basic_"+what, func(t *testing.T) {
			w := newWorld(t, memory.New(nil), nil)
			_, ask := basics(w)
			for range 4 {
				if _, err := ask("192.0.2.1", "wonderland-42"); err != nil {
					t.Fatal(err)
				}
			}
			var ended atomic.Bool
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for {
						after := ended.Load()
						_, err := ask("192.0.2.1", "wonderland-42")
						if after && err == nil {
							t.Errorf("good after %s", what)
						}
						if after || err != nil {
							return
						}
					}
				})
			}
			w.s.FlushAll()
			w.must(end(w, w.s))
			ended.Store(true)
			wg.Wait()
		})
	}
}
