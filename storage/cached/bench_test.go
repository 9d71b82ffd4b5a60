package cached_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// floor is what a hit cannot do without: one map under a sharded lock. BenchmarkHit
// adds the digest of the token's text and one value in a request's context.
type floor struct {
	shards [64]struct {
		sync.RWMutex
		m map[storage.Digest]*storage.User
		_ [64]byte
	}
}

func newFloor(n int) *floor {
	f := new(floor)
	for i := range n {
		d := storage.DigestOf(benchText(i))
		f.put(d, &storage.User{ID: fmt.Sprint(i)})
	}
	return f
}

func (f *floor) put(d storage.Digest, u *storage.User) {
	sh := &f.shards[d[0]&63]
	if sh.m == nil {
		sh.m = make(map[storage.Digest]*storage.User)
	}
	sh.m[d] = u
}

func (f *floor) get(d storage.Digest) *storage.User {
	sh := &f.shards[d[0]&63]
	sh.RLock()
	u := sh.m[d]
	sh.RUnlock()
	return u
}

func benchText(i int) string { return fmt.Sprintf("vst_%043d000000", i) }

type benchKey struct{}

var sink *http.Request

// BenchmarkHit looks tokens up at random, of a hundred thousand, each of another
// account. "ratio" is to the floor, which takes turns with it, so that both meet the
// same load; each turn is a digest, a lookup and one context value.
func BenchmarkHit(b *testing.B) {
	const n, turn = 100_000, 512
	texts := make([]string, n)
	for i := range texts {
		texts[i] = benchText(i)
	}
	f := newFloor(n)
	for _, kind := range []string{"static", "device", "session", "access", "user_standing"} {
		b.Run(kind, func(b *testing.B) {
			s := over(b, made{}, &cached.Options{MaxEntries: n + n/5, MaxBytes: 1 << 30, TTL: cached.MaxTTL, Clock: func() time.Time { return now.Add(0 * time.Since(now)) }})
			ctx := ofUser(b, "00000000-alice")
			r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
			look := func(d storage.Digest) (err error) {
				switch kind {
				case "static":
					_, _, err = s.StaticTokenByDigest(ctx, d)
				case "device":
					_, _, err = s.CredentialByDigest(ctx, "knox", d)
				case "session":
					_, _, err = s.SessionByDigest(ctx, d)
				case "access":
					_, err = s.AccessByDigest(ctx, d)
				default:
					_, _, err = s.TokenStatusWithUser(ctx, "00000000-alice", madeKeys(d))
				}
				return err
			}
			for _, text := range texts {
				must(b, look(storage.DigestOf(text)))
			}
			if allocs := testing.AllocsPerRun(100, func() { _ = look(storage.DigestOf(texts[7])) }); allocs > 4 { // copies of the lists
				b.Errorf("%.0f allocations", allocs)
			}
			var hit, least time.Duration
			at, count := 0, 0
			for b.Loop() {
				begin := time.Now()
				for i := range turn {
					text := texts[(at+i*7919)%n]
					if err := look(storage.DigestOf(text)); err != nil {
						b.Fatal(err)
					}
					sink = r.WithContext(context.WithValue(ctx, benchKey{}, &texts[i]))
				}
				between := time.Now()
				for i := range turn {
					text := texts[(at+i*7919)%n]
					u := f.get(storage.DigestOf(text))
					sink = r.WithContext(context.WithValue(ctx, benchKey{}, u))
				}
				hit, least = hit+between.Sub(begin), least+time.Since(between)
				at, count = at+turn*7919, count+turn
			}
			b.ReportMetric(float64(hit.Nanoseconds())/float64(count), "ns/hit")
			b.ReportMetric(float64(least.Nanoseconds())/float64(count), "ns/floor")
			b.ReportMetric(float64(hit)/float64(least), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkHitParallel is one hot key from all processors.
func BenchmarkHitParallel(b *testing.B) {
	s := over(b, made{}, &cached.Options{TTL: cached.MaxTTL})
	ctx, d := ofUser(b, "00000000-alice"), storage.DigestOf("x")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.StaticTokenByDigest(ctx, d); err != nil {
				b.Fatal(err)
			}
		}
	})
}
