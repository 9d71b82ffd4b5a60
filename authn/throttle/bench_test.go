package throttle_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// benchClock moves one second for each reading, so that no limit is reached.
func benchClock() func() time.Time {
	t := time.Unix(1_800_000_000, 0)
	return func() time.Time { t = t.Add(30 * time.Second); return t }
}

// The floor is the handler called directly.
func BenchmarkUserLimit(b *testing.B) {
	hour := throttle.Rate{Limit: 3600, Window: time.Hour}
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	limited := func(r throttle.Rate, clock func() time.Time) http.Handler {
		m, err := throttle.User(throttle.NewMemory(nil), r, &throttle.Options{Clock: clock})
		must(b, err)
		return m(next)
	}
	for _, x := range []struct {
		name string
		h    http.Handler
	}{
		{"floor", next},
		{"passes", limited(hour, benchClock())},
		{"refused", limited(throttle.Rate{Limit: 1, Window: 24 * time.Hour}, newClock().now)},
	} {
		b.Run(x.name, func(b *testing.B) {
			r, w := authntest.As(from("192.0.2.1:1"), authn.Identity{Subject: "alice"}), &discard{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				x.h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkReserve(b *testing.B) {
	l := login(b, throttle.NewMemory(nil), throttle.LoginOptions{DeviceKey: key32, Clock: benchClock()})
	a, err := l.Reserve(from("192.0.2.1:1"), "alice")
	must(b, err)
	must(b, a.(authn.AccountAttempt).Account(b.Context(), "1", 0))
	device := a.Succeeded(b.Context())[0]
	for name, r := range map[string]*http.Request{"stranger": from("192.0.2.1:1"), "known": from("192.0.2.2:1"), "device": from("192.0.2.3:1", device)} {
		b.Run(name, func(b *testing.B) {
			subject := "1"
			if name == "stranger" {
				subject = "" // never remembered
			}
			b.ReportAllocs()
			for b.Loop() {
				a, err := l.Reserve(r, "alice")
				if err != nil {
					b.Fatal(err)
				}
				_ = a.(authn.AccountAttempt).Account(b.Context(), subject, 0)
				a.Succeeded(b.Context())
			}
		})
	}
}

// Every name is new, and the store is full of counts that have not recovered.
func BenchmarkMemoryFull(b *testing.B) {
	m, now, r := throttle.NewMemory(nil), newClock().now(), throttle.Rate{Limit: 10, Window: time.Hour}
	k := bucket("", r)
	next := func() []throttle.Bucket {
		for i := range k.Key {
			if k.Key[i]++; k.Key[i] != 0 {
				break
			}
		}
		return []throttle.Bucket{k}
	}
	for range 100_000 {
		take(b, m, now, next()...)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Take(context.Background(), now, [][]throttle.Bucket{next()}); err != nil {
			b.Fatal(err)
		}
	}
}
