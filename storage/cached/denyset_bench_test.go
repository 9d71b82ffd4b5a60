package cached_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// withSet returns a cache with a deny set of n entries.
func withSet(b *testing.B, base *counting, n int, opts *cached.Options) *cached.Store {
	b.Helper()
	opts.TTL = cached.MaxTTL
	s, err := cached.New(base, opts)
	must(b, err)
	if opts.DenySet == nil {
		return s
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	b.Cleanup(func() { stop(); <-ended })
	for !s.DenySet().Used {
		runtime.Gosched()
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
			s := withSet(b, &counting{Store: memory.New(nil)}, n, &cached.Options{Logger: slog.New(slog.DiscardHandler), DenySet: &cached.DenySet{Max: 2_000_000}})
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
// this process has never received, whose signature is verified. Without a deny set the latter queries
// the store, here one in memory, which answers in a microsecond.
func BenchmarkJWT(b *testing.B) {
	for name, set := range map[string]*cached.DenySet{"cached": nil, "deny set": {Max: 2_000_000}} {
		for _, o := range []struct {
			kind string
			jwt.Options
		}{{"kept", jwt.Options{}}, {"kept stateless", jwt.Options{Stateless: true}}, {"new", jwt.Options{CacheEntries: -1}}, {"new stateless", jwt.Options{CacheEntries: -1, Stateless: true}}} {
			b.Run(o.kind+"/"+name, func(b *testing.B) {
				base := &counting{Store: memory.New(nil)}
				must(b, base.CreateUser(b.Context(), storage.User{ID: "id", Name: "ann", Active: true}))
				opts := &cached.Options{Logger: slog.New(slog.DiscardHandler), DenySet: set}
				if o.CacheEntries < 0 {
					opts.Skip = []cached.Kind{cached.UserStandings, cached.Standings} // as if each token came once
				}
				s := withSet(b, base, 100_000, opts)
				j, err := jwt.New("https://auth.example", "https://api.example", signing(b, "k"), s, &o.Options)
				must(b, err)
				h := authn.New(authn.Chain{j}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				requests := make([]*http.Request, 64)
				for i := range requests {
					p, err := j.Issue(b.Context(), "id", 0, nil)
					must(b, err)
					requests[i] = httptest.NewRequest("GET", "/", nil)
					requests[i].Header.Set("Authorization", "Bearer "+p.Access)
				}
				i, before := 0, base.n.Load()
				b.ReportAllocs()
				for b.Loop() {
					rec := httptest.ResponseRecorder{}
					h.ServeHTTP(&rec, requests[i%len(requests)])
					if i++; rec.Code == 401 {
						b.Fatal(rec.Code)
					}
				}
				b.ReportMetric(float64(base.n.Load()-before)/float64(i), "queries/op")
			})
		}
	}
}
