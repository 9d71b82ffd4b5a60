package cached_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// BenchmarkHitUnderLease compares hits with and without a courier, which take turns, so that both meet
// the same load. "ratio" is with to without.
func BenchmarkHitUnderLease(b *testing.B) {
	const n, turn = 10_000, 512
	digests := make([]storage.Digest, n)
	for i := range digests {
		digests[i] = storage.DigestOf(benchText(i))
	}
	base := &watched{Base: made{}}
	w := &wire{of: base, calls: make(chan func(bus.Follower) error)}
	open := func(o cached.Options) *cached.Store {
		o.TTL, o.MaxEntries, o.Logger = cached.MaxTTL, 2*n, slog.New(slog.DiscardHandler)
		s, err := cached.New(base, &o)
		must(b, err)
		return s
	}
	plain, leased := open(cached.Options{}), open(cached.Options{Courier: w})
	ctx, stop := context.WithCancel(ofUser(b, "00000000-alice"))
	defer stop()
	go func() { _ = leased.Run(ctx) }()
	w.do(func(f bus.Follower) error { f.AccountsTold(true); return nil })
	go func() {
		for ctx.Err() == nil {
			select {
			case w.calls <- func(f bus.Follower) error { return f.Prove(func() error { return nil }) }:
			case <-ctx.Done():
			}
			pause := time.NewTimer(50 * time.Millisecond)
			<-pause.C
		}
	}()
	for !leased.Freshness().Lease {
	}
	look := func(s *cached.Store) time.Duration {
		began := time.Now()
		for i := range turn {
			if _, _, err := s.StaticTokenByDigest(ctx, digests[i*7%n]); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(began)
	}
	look(plain)
	look(leased)
	asked := base.lookups.Load()
	var with, without time.Duration
	b.ResetTimer()
	for i := 0; i < b.N; i += turn {
		without += look(plain)
		with += look(leased)
	}
	b.ReportMetric(float64(with)/float64(without), "ratio")
	b.ReportMetric(float64(with.Nanoseconds())/float64(b.N), "ns/hit")
	b.ReportMetric(float64(base.lookups.Load()-asked), "lookups")
}
