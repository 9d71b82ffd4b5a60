package gormstore_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// sink is a follower that calls got for each change.
type sink struct{ got func(bus.Change) }

func (s sink) Apply(list ...bus.Change) {
	for _, c := range list {
		s.got(c)
	}
}
func (sink) FlushAll()                         {}
func (sink) AccountsTold(bool)                 {}
func (sink) Prove(question func() error) error { return question() }

// busBench opens a database with n followers of a courier.
func busBench(b *testing.B, courier string, n int, got func(bus.Change)) *gormstore.Store {
	b.Helper()
	url := pgtest.URL(b)
	db := migrated(b, opened(b)(postgres.Open(url, &patient)))
	if courier == gormstore.CourierNone {
		return db
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	b.Cleanup(func() { stop(); running.Wait() })
	for range n {
		own := opened(b)(postgres.Open(url, &patient))
		c, err := couriers[courier](b.Context(), own, "")
		must(b, err)
		running.Go(func() {
			if err := c.Follow(ctx, sink{got}); ctx.Err() == nil {
				b.Error(err)
			}
		})
	}
	return db
}

var allCouriers = []string{gormstore.CourierNone, gormstore.CourierNotify, gormstore.CourierOutbox}

// What the messages cost commits, with 16 writers and three followers: revocations, saved sessions, and
// sessions whose use is recorded, which write no message.
func BenchmarkBusCommits(b *testing.B) {
	for _, courier := range allCouriers {
		db := busBench(b, courier, 3, func(bus.Change) {})
		now := time.Now()
		for i := range 256 {
			must(b, db.CreateSession(b.Context(), storage.Session{Digest: digest(i), ID: fmt.Sprint("s", i), Version: 1, Created: now, Expires: now.Add(time.Hour), Ends: now.Add(time.Hour)}, storage.Digest{}))
		}
		versions := make([]int64, 256)
		for i := range versions {
			versions[i] = 1
		}
		for what, f := range map[string]func(ctx context.Context, n int64, worker int) error{
			"revoke": func(ctx context.Context, n int64, _ int) error {
				_, err := db.BumpEpoch(ctx, "id"+strconv.FormatInt(n%1000, 10))
				return err
			},
			"save": func(ctx context.Context, _ int64, worker int) error {
				err := db.SaveSession(ctx, digest(worker), versions[worker], []byte("some data"))
				versions[worker]++
				return err
			},
			"touch": func(ctx context.Context, n int64, worker int) error {
				at := now.Add(time.Duration(n) * time.Microsecond)
				_, err := db.TouchSession(ctx, digest(worker), at, now.Add(time.Hour), at)
				return err
			},
		} {
			b.Run(what+"/"+courier, func(b *testing.B) {
				var n, workers atomic.Int64
				b.SetParallelism(8)
				b.RunParallel(func(pb *testing.PB) {
					worker := int(workers.Add(1)) - 1
					for pb.Next() {
						if err := f(b.Context(), n.Add(1), worker); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			})
		}
	}
}

// How long a change takes from before its transaction until three followers have it, at 200 a second
// beside other commits.
func BenchmarkBusLag(b *testing.B) {
	for _, courier := range allCouriers[1:] {
		b.Run(courier, func(b *testing.B) {
			var mu sync.Mutex
			var lags []time.Duration
			begun := map[string]time.Time{}
			db := busBench(b, courier, 3, func(c bus.Change) {
				now := time.Now()
				mu.Lock()
				defer mu.Unlock()
				if at, ok := begun[c.Subject]; ok {
					lags = append(lags, now.Sub(at))
				}
			})
			load, stop := context.WithCancel(b.Context())
			var others sync.WaitGroup
			var commits atomic.Int64
			for i := range 2 {
				others.Go(func() {
					for n := 0; load.Err() == nil; n++ {
						name := fmt.Sprint("load", i, " ", n)
						if db.CreateUser(b.Context(), storage.User{ID: name, Name: strings.ReplaceAll(name, " ", "-"), Active: true}) == nil {
							commits.Add(1)
						}
					}
				})
			}
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			b.ResetTimer()
			var writers sync.WaitGroup
			for i := range b.N {
				<-tick.C
				subject := "revoked " + strconv.Itoa(i)
				mu.Lock()
				begun[subject] = time.Now()
				mu.Unlock()
				writers.Go(func() {
					if _, err := db.BumpEpoch(b.Context(), subject); err != nil {
						b.Error(err)
					}
				})
			}
			writers.Wait()
			b.StopTimer()
			stop()
			others.Wait()
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
				mu.Lock()
				all := len(lags) >= 3*b.N
				mu.Unlock()
				if all {
					break
				}
				must(b, db.Ping(b.Context()))
			}
			mu.Lock()
			defer mu.Unlock()
			if len(lags) == 0 {
				b.Fatal("nothing arrived")
			}
			slices.Sort(lags)
			ms := func(q float64) float64 { return float64(lags[int(q*float64(len(lags)-1))].Microseconds()) / 1000 }
			b.ReportMetric(ms(0.5), "p50-ms")
			b.ReportMetric(ms(0.99), "p99-ms")
			b.ReportMetric(float64(commits.Load())/b.Elapsed().Seconds(), "other-commits/s")
			b.ReportMetric(float64(len(lags))/float64(3*b.N), "arrived")
		})
	}
}
