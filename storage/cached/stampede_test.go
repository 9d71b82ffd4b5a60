package cached_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A thousand requests whose credential has just left the cache share one look-up; none gets an
// answer from before a revocation.
func TestStampede(t *testing.T) {
	t.Run("attack_235", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), &cached.Options{TTL: time.Minute})
		w.add("alice")
		c := w.give("alice")[0]
		w.is(c, true, "it is there")
		w.clock.forward(time.Minute)
		read, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		w.base.then(func(err error) error { once.Do(func() { close(read) }); <-goOn; return err })
		var wg sync.WaitGroup
		ask := func() {
			wg.Go(func() {
				if good, err := c.good(w.ctx, w.s); !good || err != nil {
					t.Errorf("%t, %v", good, err)
				}
			})
		}
		before := w.base.lookups.Load()
		ask()
		<-read
		for range 999 {
			ask()
		}
		close(goOn)
		wg.Wait()
		w.base.then(nil)
		if n := w.base.lookups.Load() - before; n != 1 {
			t.Errorf("the store was asked %d times", n)
		}
	})
	t.Run("attack_234_a_revoked_credential_is_not_shared", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		w.add("alice")
		d := storage.DigestOf("late")
		w.must(w.s.PutStaticToken(w.ctx, storage.StaticToken{Digest: d, Subject: "alice", Salt: []byte("s")}, storage.Digest{}))
		read, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		w.base.then(func(err error) error {
			first := false
			once.Do(func() { first = true; close(read) })
			if first {
				<-goOn
			}
			return err
		})
		done := make(chan struct{})
		go func() { defer close(done); _, _, _ = w.s.StaticTokenByDigest(w.ctx, d) }() // began before
		<-read
		w.must(w.s.DeleteStaticToken(w.ctx, d))
		later := make(chan error, 8)
		for range cap(later) {
			go func() { _, _, err := w.s.StaticTokenByDigest(w.ctx, d); later <- err }()
		}
		for range cap(later) {
			select {
			case err := <-later:
				if !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("after the revocation: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("a request that began after the revocation waits for a look-up from before it")
			}
		}
		close(goOn)
		<-done
	})
}
