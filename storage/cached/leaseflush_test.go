package cached_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// What is looked up while everything is being forgotten may be forgotten with the rest,
// although it is newer. Its lease ends then: later nobody would find it to end it.
func TestLeaseDuringFlush(t *testing.T) {
	t.Run("attack_109_revoked_after_a_flush", func(t *testing.T) {
		base := &watched{Base: memory.New(nil)}
		in := func(shard byte) (text string, d storage.Digest) {
			for i := 0; ; i++ {
				text = fmt.Sprint("text ", i)
				if d = storage.DigestOf(text); d[0]%64 == shard {
					return text, d
				}
			}
		}
		_, early := in(0)
		_, late := in(63)

		// The clock is asked under the lock of a shard, the second time of a lookup.
		var mu sync.Mutex
		var holder bool
		asked := 0
		locked, unlock := make(chan struct{}), make(chan struct{})
		clock := func() time.Time {
			mu.Lock()
			if holder {
				if asked++; asked == 2 {
					holder = false
					mu.Unlock()
					close(locked)
					<-unlock
					return now
				}
			}
			mu.Unlock()
			return now
		}
		s := over(t, base, &cached.Options{Clock: clock})
		ctx := t.Context()
		must(t, base.CreateUser(ctx, storage.User{ID: "alice", Name: "alice", Active: true, Created: now}))
		must(t, base.PutStaticToken(ctx, storage.StaticToken{Digest: late, Subject: "alice", Salt: []byte("salt"), KeyID: "key", Created: now}, storage.Digest{}))
		look := func() storage.Lease {
			_, u, err := s.StaticTokenByDigest(ctx, late)
			must(t, err)
			return u.Lease()
		}
		look()
		old := look()

		var wg sync.WaitGroup
		mu.Lock()
		holder = true
		mu.Unlock()
		wg.Go(func() { _, _, _ = s.StaticTokenByDigest(ctx, early) }) // holds the first shard
		<-locked
		wg.Go(s.FlushAll)
		for old.Valid(ctx) { // until what was kept before has ended
			runtime.Gosched()
		}
		look()
		l := look()
		if l == nil || !l.Valid(ctx) {
			t.Fatal("what was read since the flush began is not kept")
		}
		close(unlock)
		wg.Wait()
		must(t, s.DeleteStaticToken(ctx, late))
		if l.Valid(ctx) {
			t.Error("holds after the token was deleted")
		}
	})
}
