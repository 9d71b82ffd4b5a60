package jwt_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	golangjwt "github.com/golang-jwt/jwt/v5"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// BenchmarkAccess verifies one HS256 access token: with and without the cache, both stateless with
// a blocklist of a million entries in memory, and with golang-jwt's parser with registered claims.
// The cost of the middleware itself is measured with a scheme that returns a fixed identity.
func BenchmarkAccess(b *testing.B) {
	s := memory.New(nil)
	schemetest.Must(b, s.CreateUser(b.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true}))
	until := time.Now().Add(time.Hour)
	for i := range 1_000_000 {
		schemetest.Must(b, s.Block(b.Context(), until, storage.BlockKeyOf(storage.BlockJTI, issuer, fmt.Sprint(i))))
	}
	secret := []byte("0123456789abcdef0123456789abcdef")
	k, err := jose.NewSecret("k", jose.HS256, secret)
	schemetest.Must(b, err)
	ring, err := jose.NewKeySet(k)
	schemetest.Must(b, err)
	scheme := func(entries int) *jwt.Scheme {
		x, err := jwt.New(issuer, audience, ring, s, &jwt.Options{Stateless: true, CacheEntries: entries, AccessTTL: time.Hour})
		schemetest.Must(b, err)
		return x
	}
	cached := scheme(0)
	p, err := cached.Issue(b.Context(), "id-alice", 0, nil)
	schemetest.Must(b, err)
	r := bearer(p.Access)
	known, err := cached.Authenticate(r)
	schemetest.Must(b, err)
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	through := func(a authn.Authenticator) func() error {
		h := authn.New(a, nil).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		w := httptest.NewRecorder()
		return func() error { h.ServeHTTP(w, r); return nil }
	}
	run("cached", func() error { _, err := cached.Authenticate(r); return err })
	none := scheme(-1)
	run("uncached", func() error { _, err := none.Authenticate(r); return err })
	run("middleware", through(authn.Func(func(*http.Request) (authn.Identity, error) { return known, nil })))
	run("middleware-cached", through(cached))
	parser := golangjwt.NewParser(golangjwt.WithValidMethods([]string{"HS256"}), golangjwt.WithExpirationRequired(), golangjwt.WithIssuer(issuer), golangjwt.WithAudience(audience))
	run("golang-jwt", func() error {
		_, err := parser.ParseWithClaims(p.Access, &golangjwt.RegisteredClaims{}, func(*golangjwt.Token) (any, error) { return secret, nil })
		return err
	})
}
