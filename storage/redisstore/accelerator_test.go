package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

// slow is a courier whose interval is longer than the test: it proves, but delivers nothing yet.
type slow struct{}

func (slow) Delivers(any) bool { return true }
func (slow) Follow(ctx context.Context, f bus.Follower) error {
	tick := time.NewTicker(bus.Beat)
	defer tick.Stop()
	for {
		if err := f.Prove(ctx.Err); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// replica returns a cache over base that follows a slow courier until the test ends.
func replica(t *testing.T, base *memory.Store, by bus.Accelerator) *cached.Store {
	t.Helper()
	s, err := cached.New(base, &cached.Options{Courier: slow{}, Accelerator: by})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return s
}

// A change arrives before the courier delivers it. A text that is forged makes a cache read again, and
// nothing else; without Redis all goes on by the courier.
func TestChannelAcceleratesInvalidation(t *testing.T) {
	r := redistest.Start(t)
	at, base := prefix(), memory.New(nil)
	fast := func(c redis.UniversalClient) *redisstore.Channel {
		c1, err := redisstore.NewChannel(open(t, c, at), "changes", nil)
		must(t, err)
		return c1
	}
	forger := fast(r.Client())
	here, there, without := replica(t, base, fast(r.Client())), replica(t, base, fast(r.Client())), replica(t, base, nil)
	token := func(n int) storage.Digest { // of an account of its own, "u0" and so on
		id := fmt.Sprint("u", n)
		d := storage.DigestOf(id)
		must(t, base.CreateUser(t.Context(), storage.User{ID: id, Name: id, Active: true}))
		must(t, base.PutStaticToken(t.Context(), storage.StaticToken{Digest: d, Subject: id, Salt: []byte{1}, KeyID: "k"}, storage.Digest{}))
		return d
	}
	good := func(s *cached.Store, d storage.Digest) bool {
		_, _, err := s.StaticTokenByDigest(t.Context(), d)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	gone := func(s *cached.Store, d storage.Digest) bool {
		return redistest.Poll(t, func(context.Context) bool { return !good(s, d) })
	}
	// The first text can come before the subscription, so several are tried.
	n, arrived := 0, false
	arrived = redistest.Poll(t, func(ctx context.Context) bool {
		if !here.Freshness().Lease || !there.Freshness().Lease || !without.Freshness().Lease {
			return false
		}
		d := token(n)
		n++
		if !good(there, d) || !good(without, d) || !good(here, d) {
			t.Fatal("a new token is not accepted")
		}
		must(t, here.DeleteStaticToken(t.Context(), d))
		if good(here, d) {
			t.Fatal("accepted by the process that revoked it")
		}
		for wait := time.Now(); time.Since(wait) < 300*time.Millisecond; {
			if !good(there, d) {
				if !good(without, d) {
					t.Fatal("the courier has delivered it, so this test shows nothing")
				}
				return true
			}
		}
		return false
	})
	if !arrived {
		t.Fatal("no change arrived")
	}

	t.Run("attack_430_forged_texts", func(t *testing.T) {
		d, subject := token(n), fmt.Sprint("x subject u", n)
		n++
		if !good(there, d) {
			t.Fatal("not accepted")
		}
		must(t, base.DeleteStaticToken(t.Context(), d))
		for _, text := range []string{"x all", "all", "", " ", "x", "x key 9 zz", "x subject ", "x subject other"} {
			must(t, forger.Publish(t.Context(), text))
		}
		before := there.UsageOf(cached.StaticTokens)
		must(t, forger.Publish(t.Context(), subject))
		if !gone(there, d) {
			t.Error("the last text did not arrive")
		}
		if before.Entries == 0 {
			t.Error("a forged text has emptied the cache")
		}
		live := token(n)
		must(t, forger.Publish(t.Context(), fmt.Sprint("x subject u", n)))
		n++
		for range 100 {
			if !good(there, live) {
				t.Fatal("a forged text makes a valid token invalid")
			}
		}
	})

	r.Kill()
	d := token(n)
	must(t, here.DeleteStaticToken(t.Context(), d)) // does not wait for Redis
	if good(here, d) || !here.Freshness().Lease {
		t.Error("without Redis:", good(here, d), here.Freshness())
	}
}

func TestAcceleratorNeedsCourier(t *testing.T) {
	r := redistest.Start(t)
	c, err := redisstore.NewChannel(open(t, r.Client(), prefix()), "changes", nil)
	must(t, err)
	if _, err := cached.New(memory.New(nil), &cached.Options{Accelerator: c}); err == nil {
		t.Error("no error")
	}
}
