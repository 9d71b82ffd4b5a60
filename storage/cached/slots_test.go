package cached_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// While the database is slow there is no lease, and few lookups are made at the same time. Nobody
// can take all of them.
func TestBlindShares(t *testing.T) {
	from := func(w *followed, address string) context.Context {
		return storage.WithClientAddr(w.Context(), netip.MustParseAddr(address))
	}
	// flood looks n tokens up while the store does not answer, and returns how many it was asked for.
	flood := func(w *followed, n int, ctx func(i int) context.Context, token func(i int) string) (asked int64, wait func()) {
		before, results := w.base.lookups.Load(), make(chan error, n)
		for i := range n {
			go func() {
				_, _, err := w.s.StaticTokenByDigest(ctx(i), storage.DigestOf(token(i)))
				results <- err
			}()
			synctest.Wait()
		}
		return w.base.lookups.Load() - before, func() {
			for range n {
				if err := <-results; err != nil && !errors.Is(err, cached.ErrBlind) && !errors.Is(err, storage.ErrNotFound) {
					w.Error(err)
				}
			}
		}
	}
	made := func(i int) string { return fmt.Sprint("made up ", i) }

	cases := map[string]struct {
		address func(i int) string
		token   func(i int) string
		asked   int64 // of 64 slots
	}{
		"one network":             {func(i int) string { return fmt.Sprintf("198.51.100.%d", i%250) }, made, 8},
		"many networks":           {func(i int) string { return fmt.Sprintf("198.%d.%d.1", 1+i/250, i%250) }, made, 48},
		"an address of a proxy":   {func(int) string { return "10.0.0.1" }, made, 48},
		"a valid token of theirs": {func(i int) string { return fmt.Sprintf("198.%d.%d.1", 1+i/250, i%250) }, func(int) string { return "another" }, 8},
	}
	for name, c := range cases {
		t.Run("attack_455_"+name, func(t *testing.T) {
			follow(t, cached.Options{}, func(w *followed) {
				w.must(w.base.CreateUser(w.Context(), storage.User{ID: "eve", Name: "eve", Active: true}))
				w.must(w.base.PutStaticToken(w.Context(), storage.StaticToken{Digest: storage.DigestOf("another"), Subject: "eve", Salt: []byte{1}, KeyID: "k", Created: time.Now()}, storage.Digest{}))
				w.look()
				_, _, _ = w.s.StaticTokenByDigest(w.Context(), storage.DigestOf("another"))
				release := w.hang()
				asked, wait := flood(w, 600, func(i int) context.Context { return from(w, c.address(i)) }, c.token)
				if asked != c.asked {
					t.Errorf("%d lookups at once, want %d", asked, c.asked)
				}
				owner, waitOwner := flood(w, 1, func(int) context.Context { return from(w, "203.0.113.7") }, func(int) string { return "token" })
				if owner != 1 {
					t.Error("the owner of a token has to wait")
				}
				if name == "one network" {
					stranger, waitStranger := flood(w, 1, func(int) context.Context { return from(w, "203.0.113.7") }, func(int) string { return "new" })
					if stranger != 1 {
						t.Error("a stranger of another network has to wait")
					}
					defer waitStranger()
				}
				release()
				waitOwner()
				wait()
			})
		})
	}

	t.Run("first in line", func(t *testing.T) { // who is known goes first where all slots are taken
		follow(t, cached.Options{BlindLookups: 1}, func(w *followed) {
			w.look()
			hold := make(chan struct{})
			w.base.then(func(err error) error { <-hold; return err })
			_, waitFirst := flood(w, 1, func(int) context.Context { return from(w, "198.51.100.1") }, made)
			_, waitStrangers := flood(w, 20, func(i int) context.Context { return from(w, fmt.Sprintf("198.51.%d.1", i)) }, func(i int) string { return fmt.Sprint("other ", i) })
			owner := make(chan error, 1)
			go func() {
				_, _, err := w.s.StaticTokenByDigest(from(w, "203.0.113.7"), tokenDigest)
				owner <- err
			}()
			synctest.Wait()
			hold <- struct{}{}
			waitFirst()
			hold <- struct{}{} // the second lookup is that of the owner
			w.must(<-owner)
			w.base.then(nil)
			close(hold)
			waitStrangers()
		})
	})
	t.Run("passed on", func(t *testing.T) { // whoever waits gets the slot that comes free
		follow(t, cached.Options{BlindLookups: 1}, func(w *followed) {
			release := w.hang()
			_, first := flood(w, 1, func(int) context.Context { return from(w, "198.51.100.1") }, made)
			asked, second := flood(w, 1, func(int) context.Context { return from(w, "203.0.113.7") }, func(int) string { return "new" })
			if asked != 0 {
				t.Error("two lookups at once")
			}
			before := w.base.lookups.Load()
			release()
			synctest.Wait()
			if n := w.base.lookups.Load() - before; n != 1 {
				t.Errorf("%d lookups after the first one, want 1", n)
			}
			first()
			second()
		})
	})
}
