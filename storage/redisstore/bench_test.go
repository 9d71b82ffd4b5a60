package redisstore_test

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// parallel runs f from 16 goroutines.
func parallel(b *testing.B, f func(n int64)) {
	b.SetParallelism(max(16/runtime.GOMAXPROCS(0), 1))
	b.ReportAllocs()
	var n atomic.Int64
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			f(n.Add(1))
		}
	})
}

// One decision about a login by a stranger: up to six plans of twelve cells. The reference is the
// store in memory.
func BenchmarkLogin(b *testing.B) {
	c := redistest.Start(b).Client()
	s, err := throttle.NewShared(open(b, c, prefix()), throttle.Replicas(1), nil)
	must(b, err)
	for name, store := range map[string]throttle.Store{"memory": throttle.NewMemory(nil), "redis": s} {
		b.Run(name, func(b *testing.B) {
			l, err := throttle.NewLogin(store, &throttle.LoginOptions{NameKey: key32})
			must(b, err)
			parallel(b, func(n int64) {
				_, _ = l.Reserve(request(fmt.Sprintf("10.%d.%d.%d:1", n>>16&255, n>>8&255, n&255)), fmt.Sprint("user", n))
			})
		})
	}
}

// One decision about a request: one cell.
func BenchmarkUnits(b *testing.B) {
	c := redistest.Start(b).Client()
	r := open(b, c, prefix())
	s, err := throttle.NewShared(r, throttle.Replicas(1), nil)
	must(b, err)
	for name, store := range map[string]throttle.Store{"memory": throttle.NewMemory(nil), "redis": s} {
		for _, callers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, callers), func(b *testing.B) {
				one := func(n int64) {
					bucket := throttle.Bucket{Key: throttle.Key{byte(n), byte(n >> 8)}, Rates: []throttle.Rate{{Limit: 1_000_000, Window: time.Second}}}
					if o, err := store.Take(b.Context(), time.Now(), [][]throttle.Bucket{{bucket}}); err != nil || o.Plan != 0 {
						b.Errorf("%+v, %v", o, err)
					}
				}
				if callers > 1 {
					parallel(b, one)
					return
				}
				b.ReportAllocs()
				n := int64(0)
				for b.Loop() {
					n++
					one(n)
				}
			})
		}
	}
}

// A session with 200 bytes of data. The floor is a GET of the same size, without a deadline.
func BenchmarkSession(b *testing.B) {
	c := redistest.Start(b).Client()
	now := time.Now()
	must(b, c.Set(b.Context(), "floor", make([]byte, 200), 0).Err())
	b.Run("floor", func(b *testing.B) {
		parallel(b, func(int64) {
			if err := c.Get(b.Context(), "floor").Err(); err != nil {
				b.Error(err)
			}
		})
	})
	for _, name := range []string{"memory", "redis"} {
		db := memory.New(nil)
		var s storage.Sessions = db
		if name == "redis" {
			s = sessionsOver(b, c, db)
		}
		v := anonymous("a", now)
		v.Data = make([]byte, 200)
		must(b, s.CreateSession(b.Context(), v, storage.Digest{}))
		b.Run("read/"+name, func(b *testing.B) {
			parallel(b, func(int64) {
				if _, _, err := s.SessionByDigest(b.Context(), v.Digest); err != nil {
					b.Error(err)
				}
			})
		})
		b.Run("save/"+name, func(b *testing.B) {
			b.ReportAllocs()
			got, _, err := s.SessionByDigest(b.Context(), v.Digest)
			must(b, err)
			version := got.Version
			for b.Loop() {
				must(b, s.SaveSession(b.Context(), v.Digest, version, v.Data))
				version++
			}
		})
	}
}

// A proof that nobody used before.
func BenchmarkProof(b *testing.B) {
	c := redistest.Start(b).Client()
	now := time.Now()
	for name, s := range map[string]storage.Replays{"memory": memory.New(nil), "redis": open(b, c, prefix())} {
		b.Run(name, func(b *testing.B) {
			run := rand.Text()
			parallel(b, func(n int64) {
				if err := s.ConsumeJTI(b.Context(), storage.BlockKeyOf(storage.ReplayProof, name, run+fmt.Sprint(n)), now, now.Add(time.Minute)); err != nil {
					b.Error(err)
				}
			})
		})
	}
}
