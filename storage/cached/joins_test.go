package cached_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A lookup that hangs is joined only by requests that begin while its answer could still be
// kept: a later one asks the store itself.
func TestJoins(t *testing.T) {
	for _, c := range []struct {
		name   string
		digest string
		later  time.Duration
		joins  bool
	}{
		{"good, within the TTL", "there", 9 * time.Second, true}, {"good, after the TTL", "there", 10 * time.Second, false},
		{"unknown, within a second", "junk", time.Second - time.Microsecond, true}, {"unknown, a second later", "junk", time.Second, false},
	} {
		t.Run("edge_T05/"+c.name, func(t *testing.T) {
			w := newWorld(t, memory.New(nil), &cached.Options{TTL: 10 * time.Second})
			w.add("alice")
			must(t, w.s.PutStaticToken(w.ctx, storage.StaticToken{Digest: storage.DigestOf("there"), Subject: "alice", Salt: []byte("salt"), KeyID: "k", Created: now}, storage.Digest{}))
			first, hang := make(chan struct{}), make(chan struct{})
			w.base.then(func(err error) error {
				w.base.then(nil)
				close(first)
				<-hang
				return err
			})
			look := func() error {
				_, _, err := w.s.StaticTokenByDigest(w.ctx, storage.DigestOf(c.digest))
				return err
			}
			before := w.base.lookups.Load()
			results := make(chan error, 2)
			go func() { results <- look() }()
			<-first
			w.clock.forward(c.later)
			go func() { results <- look() }()
			if !c.joins && c.digest == "there" { // it does not wait for the one that hangs
				must(t, <-results)
				close(hang)
				must(t, <-results)
			} else {
				for w.base.lookups.Load() == before { // until the first has begun
				}
				close(hang)
				for range 2 {
					if err := <-results; (c.digest == "there") != (err == nil) || err != nil && !errors.Is(err, storage.ErrNotFound) {
						t.Error(err)
					}
				}
			}
			if n := w.base.lookups.Load() - before; !c.joins && n != 2 {
				t.Errorf("the store was asked %d times", n)
			}
		})
	}
}

// What one scheme has made of a token is not given to another one: two verifiers of one
// issuer that want different audiences.
func TestHitsDoNotCross(t *testing.T) {
	t.Run("edge_T05/audiences", func(t *testing.T) {
		secret, err := jose.NewSecret("k", jose.HS256, []byte("0123456789abcdef0123456789abcdef"))
		must(t, err)
		signing, err := jose.NewKeySet(secret)
		must(t, err)
		db := memory.New(nil)
		must(t, db.CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true, Roles: []string{"admin"}}))
		public, err := jwt.New("https://bench.example", "public", signing, over(t, db, nil), nil)
		must(t, err)
		of := func(audience string) http.Handler {
			v, err := jwt.NewVerifier("https://bench.example", audience, signing, nil)
			must(t, err)
			return authn.New(authn.Chain{v}, nil).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		}
		pair, err := public.Issue(t.Context(), "id-alice", 0, nil)
		must(t, err)
		ask := func(h http.Handler) int {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+pair.Access)
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			return rec.Code
		}
		one, other := of("public"), of("admin")
		for range 4 {
			if a, b := ask(one), ask(other); a != 200 || b != 401 {
				t.Errorf("public %d, admin %d", a, b)
			}
		}
	})
}
