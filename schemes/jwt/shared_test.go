package jwt_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// overCache is newWorld with a store that caches results.
func overCache(t testing.TB, opts jwt.Options) *world {
	t.Helper()
	c := start()
	s, err := cached.New(memory.New(&memory.Options{Clock: c.Now}), &cached.Options{Clock: c.Now, TTL: cached.MaxTTL})
	schemetest.Must(t, err)
	return over(t, s, c, opts)
}

// The first use of a new access token ends the grace period, even if the middleware keeps its
// identity and the previous one.
func TestSharedAndNarrowGrace(t *testing.T) {
	for name, c := range map[string]struct {
		use, stateless bool
		want           int
	}{"attack_095_used": {true, false, 401}, "unused": {false, false, 200}, "attack_095_used_stateless": {true, true, 401}} {
		t.Run(name, func(t *testing.T) {
			w := overCache(t, jwt.Options{CloseGraceOnUse: true, Stateless: c.stateless})
			first := w.issue(t)
			w.clock.Pass(time.Minute)
			uses := func(token string) {
				for range 4 {
					if code := w.status(token); code != 200 {
						t.Errorf("%d", code)
					}
				}
			}
			uses(first.Access)
			refresh := func(from string) *httptest.ResponseRecorder {
				r := httptest.NewRequest("POST", "/", strings.NewReader(`{"refresh":"`+first.Refresh+`"}`))
				r.Header.Set("Content-Type", "application/json")
				r.RemoteAddr = from
				rec := httptest.NewRecorder()
				w.RefreshPair().ServeHTTP(rec, r)
				return rec
			}
			got := refresh("192.0.2.1:1")
			if got.Code != 200 {
				t.Fatal(got.Code, got.Body)
			}
			uses(first.Access) // which is of before, and closes nothing
			access := strings.Split(got.Body.String(), `"`)[3]
			if c.use {
				uses(access)
			}
			if again := refresh("198.51.100.7:1"); again.Code != c.want {
				t.Errorf("the copy: %d %s", again.Code, again.Body)
			}
			for _, token := range []string{access, first.Access} { // the family ended, or did not
				if code := w.status(token); code != c.want {
					t.Errorf("an access token: %d", code)
				}
			}
		})
	}
}

// The leeway applies to a kept identity like to any other, and no longer.
func TestSharedLeeway(t *testing.T) {
	w := overCache(t, jwt.Options{Leeway: time.Minute})
	p := w.issue(t)
	for range 3 {
		w.status(p.Access)
	}
	w.clock.Pass(6*time.Minute - time.Second)
	if code := w.status(p.Access); code != 200 {
		t.Errorf("within the leeway: %d", code)
	}
	w.clock.Pass(time.Second)
	if code := w.status(p.Access); code != 401 {
		t.Errorf("after it: %d", code)
	}
}

// Without the cache of verified tokens, the middleware keeps no identities.
func TestNoCacheSharesNothing(t *testing.T) {
	w := overCache(t, jwt.Options{CacheEntries: -1})
	p := w.issue(t)
	seen := func(a authn.Authenticator) (list []*authn.Identity) {
		h := authn.New(a, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { list = append(list, authn.Peek(r.Context())) }))
		for range 3 { // the store leases its second answer
			h.ServeHTTP(httptest.NewRecorder(), bearer(p.Access))
		}
		return list
	}
	if list := seen(w.Scheme); len(list) != 3 || list[1] == list[2] {
		t.Error("kept")
	}
	w = overCache(t, jwt.Options{})
	p = w.issue(t)
	if list := seen(w.Scheme); len(list) != 3 || list[1] != list[2] {
		t.Error("not kept with a cache")
	}
}
