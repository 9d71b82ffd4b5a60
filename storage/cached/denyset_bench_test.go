package cached_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// withSet returns a cache with a deny set of n entries.
func withSet(b *testing.B, base *counting, n int, set *cached.DenySet) *cached.Store {
	b.Helper()
	s, err := cached.New(base, &cached.Options{TTL: cached.MaxTTL, DenySet: set, MaxEntries: 1 << 20, MaxBytes: 1 << 30, Logger: slog.New(slog.DiscardHandler)})
	must(b, err)
	if set == nil {
		return s
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	b.Cleanup(func() { stop(); <-ended })
	for !s.DenySet().Used {
		time.Sleep(time.Millisecond)
	}
	for i := range n {
		s.InvalidateSubject(fmt.Sprint("revoked ", i))
	}
	return s
}

// BenchmarkTokenUnchanged asks about tokens of many accounts, with the four names of a JWT and the
// client of an OAuth 2.0 token.
func BenchmarkTokenUnchanged(b *testing.B) {
	for _, n := range []int{0, 1000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := withSet(b, &counting{Store: memory.New(nil)}, n, &cached.DenySet{Max: 2_000_000})
			tokens := make([]storage.IssuedToken, 1<<14)
			for i := range tokens {
				text := fmt.Sprint(i)
				tokens[i] = storage.IssuedToken{Subject: text, Lifetime: time.Minute, Keys: storage.BlockKeys{
					JTI: storage.BlockKeyOf(storage.BlockJTI, "i", text), SID: storage.BlockKeyOf(storage.BlockSID, "", text), Subject: storage.BlockKeyOf(storage.BlockSubject, "i", text),
				}}
			}
			ctx, i := b.Context(), 0
			b.ReportAllocs()
			for b.Loop() {
				if i++; !s.TokenUnchanged(ctx, &tokens[i%len(tokens)]) {
					b.Fatal(s.DenySet())
				}
			}
		})
	}
}

// BenchmarkJWT is a request with a JWT through the middleware: one whose identity is kept, and one that
// this process has never received, whose signature is verified. With a cache alone, the latter queries
// the store, here one in memory, which answers in a microsecond.
func BenchmarkJWT(b *testing.B) {
	for name, set := range map[string]*cached.DenySet{"cached": nil, "deny set": {Max: 2_000_000}} {
		for _, stateless := range []bool{false, true} {
			base := &counting{Store: memory.New(nil)}
			must(b, base.CreateUser(b.Context(), storage.User{ID: "id", Name: "ann", Active: true}))
			s := withSet(b, base, 1_000_000, set)
			j, err := jwt.New("https://auth.example", "https://api.example", signing(b, "k"), s, &jwt.Options{Stateless: stateless})
			must(b, err)
			h := authn.New(authn.Chain{j}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			texts := make([]*http.Request, 4096)
			for i := range texts {
				p, err := j.Issue(b.Context(), "id", 0, nil)
				must(b, err)
				texts[i] = httptest.NewRequest("GET", "/", nil)
				texts[i].Header.Set("Authorization", "Bearer "+p.Access)
			}
			run := func(kind string, next func(i int) *http.Request) {
				b.Run(fmt.Sprintf("%s/%s/stateless=%v", kind, name, stateless), func(b *testing.B) {
					i, before := 0, base.n.Load()
					b.ReportAllocs()
					for b.Loop() {
						rec := httptest.ResponseRecorder{}
						h.ServeHTTP(&rec, next(i))
						if i++; rec.Code == 401 {
							b.Fatal(rec.Code)
						}
					}
					b.ReportMetric(float64(base.n.Load()-before)/float64(i), "queries/op")
				})
			}
			run("kept", func(int) *http.Request { return texts[0] })
			run("new", func(i int) *http.Request { return texts[i%len(texts)] })
		}
	}
}
