package cached_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// lease is what a second lookup gives, which finds what the first one left.
func (w *world) lease(c credential) storage.Lease {
	w.Helper()
	w.is(c, true, "it is there")
	u, good, err := c.look(w.ctx, w.s)
	if l := u.Lease(); good && err == nil && l != nil {
		return l
	}
	w.Fatalf("%s: %t, %v, and no lease", c.name, good, err)
	return nil
}

func (w *world) holds(l storage.Lease) bool { return l.Valid(w.ctx) }

// lessors are the credentials whose lookups come with an account, and so with a lease.
func lessors(list []credential) (out []credential) {
	for _, c := range list {
		if c.name != "standing" {
			out = append(out, c)
		}
	}
	return out
}

// A lease is given with a hit, of an item that is kept, and holds until what the item
// stands for ends, whatever ends it.
func TestLeaseEnds(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		n := 0
		try := func(i int, what string, end func(id string, c credential) func(*cached.Store) error) {
			n++
			id := fmt.Sprint("user", n)
			w.add(id)
			c := w.give(id)[i]
			if c.name == "standing" {
				return
			}
			l := w.lease(c)
			if asked := w.asked(func() {
				if !w.holds(l) {
					t.Errorf("%s: does not hold", c.name)
				}
			}); asked != 0 {
				t.Errorf("%s: a lease asks the store", c.name)
			}
			w.must(end(id, c)(w.s))
			if w.holds(l) {
				t.Errorf("%s: holds after %s", c.name, what)
			}
		}
		w.add("sample")
		for i, c := range w.give("sample") {
			for what := range c.ends {
				try(i, what, func(_ string, c credential) func(*cached.Store) error { return c.ends[what] })
			}
			for what := range everywhere(w.ctx, "", 0) {
				try(i, what, func(id string, _ credential) func(*cached.Store) error { return everywhere(w.ctx, id, 0)[what] })
			}
		}
	})
}

// What ends nothing, but changes what a lookup says, ends the lease too.
func TestLeaseOfWhatChanged(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		w.add("alice")
		list := w.give("alice")
		d := storage.DigestOf("alice 0")
		before := now.Add(time.Minute)
		for what, f := range map[string]func() (credential, error){
			"save": func() (credential, error) { return list[2], w.s.SaveSession(w.ctx, d, 1, []byte("new")) },
			"touch a session": func() (credential, error) {
				_, err := w.s.TouchSession(w.ctx, d, now.Add(time.Minute), now.Add(2*time.Hour), before)
				return list[2], err
			},
			"touch a token": func() (credential, error) {
				_, err := w.s.TouchCredential(w.ctx, "knox", d, now.Add(time.Minute), time.Time{}, before)
				return list[1], err
			},
			"a lost race": func() (credential, error) { // also where somebody else was first
				if err := w.s.SaveSession(w.ctx, d, 99, nil); !errors.Is(err, storage.ErrConflict) {
					t.Error(err)
				}
				return list[2], nil
			},
		} {
			leases := map[string]storage.Lease{}
			for _, c := range lessors(list) {
				leases[c.name] = w.lease(c)
			}
			changed, err := f()
			w.must(err)
			for _, c := range lessors(list) {
				if got := w.holds(leases[c.name]); got == (c.name == changed.name) {
					t.Errorf("%s: the lease of %s holds: %t", what, c.name, got)
				}
			}
		}
	})
}

// A lease holds for the TTL and not beyond the credential's own end, by the clock of who
// asks, and not with a clock that was set back.
func TestLeaseTime(t *testing.T) {
	w := newWorld(t, memory.New(nil), &cached.Options{TTL: time.Minute})
	w.add("alice")
	list := lessors(w.give("alice"))
	var leases []storage.Lease
	for _, c := range list {
		leases = append(leases, w.lease(c))
	}
	for _, step := range []struct {
		by    time.Duration
		holds bool
	}{{0, true}, {time.Minute - time.Microsecond, true}, {-time.Hour, true}, {time.Microsecond, false}, {-time.Hour, false}, {time.Hour, false}} {
		w.clock.forward(step.by)
		for i, c := range list {
			if got := leases[i].Valid(w.ctx); got != step.holds {
				t.Errorf("%s: %v later: holds %t", c.name, step.by, got)
			}
		}
	}
	w.clock.micros.Store(now.Add(time.Hour - time.Second).UnixMicro()) // a second before their end
	for i, c := range list[1:4] {
		leases[i] = w.lease(c)
	}
	for step, want := range []bool{true, false} {
		w.clock.forward([]time.Duration{time.Second - time.Microsecond, time.Microsecond}[step])
		for i, c := range list[1:4] {
			if leases[i].Valid(w.ctx) != want {
				t.Errorf("%s: not until its own end", c.name)
			}
		}
	}
}

// What forgets everything ends all leases, for good.
func TestLeaseFlush(t *testing.T) {
	for what, f := range map[string]func(*cached.Store){
		"flush": (*cached.Store).FlushAll, "bypass": func(s *cached.Store) { s.Bypass(true) },
		"bypass on and off": func(s *cached.Store) { s.Bypass(true); s.Bypass(false) },
		"bypass off":        func(s *cached.Store) { s.Bypass(false) },
		"unknown kind":      func(s *cached.Store) { s.InvalidateKey(cached.Key{Kind: 200}) },
		"all":               func(s *cached.Store) { cached.Change{All: true}.Apply(s) },
		"subject":           func(s *cached.Store) { s.InvalidateSubject("alice") },
	} {
		w := newWorld(t, memory.New(nil), nil)
		w.add("alice")
		var leases []storage.Lease
		list := lessors(w.give("alice"))
		for _, c := range list {
			leases = append(leases, w.lease(c))
		}
		f(w.s)
		for again := range 2 {
			for i, l := range leases {
				if w.holds(l) {
					t.Errorf("%s: the lease of %s holds", what, list[i].name)
				}
			}
			if again == 0 {
				w.s.Bypass(false)
				for _, c := range list {
					w.is(c, true, "kept anew")
				}
			}
		}
	}
}

// While bypassed no lookup gives a lease that holds, nor one of a kind that is skipped.
func TestNoLease(t *testing.T) {
	w := newWorld(t, memory.New(nil), &cached.Options{Skip: []cached.Kind{cached.Sessions}})
	w.add("alice")
	none := func(c credential, why string) {
		t.Helper()
		for range 3 {
			if u, good, err := c.look(w.ctx, w.s); !good || err != nil || u.Lease() != nil && w.holds(u.Lease()) {
				t.Errorf("%s: %t, %v, a lease that holds: %s", c.name, good, err, why)
			}
		}
	}
	list := lessors(w.give("alice"))
	none(list[2], "skipped")
	w.s.Bypass(true)
	for _, c := range list {
		none(c, "bypassed")
	}
}

// Within a transaction no lease holds, which its own changes could not end, neither one
// from before nor one that the transaction got. After it a lease holds only where nothing
// was changed, also where that was rolled back.
func TestLeaseInTransaction(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		undone := errors.New("undone")
		for name, end := range map[string]error{"commit": nil, "rollback": undone, "unchanged": nil} {
			w.add(name)
			list := lessors(w.give(name))
			var leases []storage.Lease
			for _, c := range list {
				leases = append(leases, w.lease(c))
			}
			if err := w.s.InTx(w.ctx, func(ctx context.Context) error {
				if name != "unchanged" {
					if _, err := w.s.BumpEpoch(ctx, name); err != nil {
						return err
					}
				}
				for i, c := range list {
					if leases[i].Valid(ctx) {
						t.Errorf("%s: a lease of %s holds within the transaction", name, c.name)
					}
					u, _, err := c.look(ctx, w.s)
					if l := u.Lease(); err != nil || l != nil && l.Valid(ctx) {
						t.Errorf("%s: the transaction got a lease of %s, %v", name, c.name, err)
					}
				}
				return end
			}); !errors.Is(err, end) {
				t.Fatal(err)
			}
			for i, c := range list {
				if w.holds(leases[i]) != (name == "unchanged") {
					t.Errorf("after the %s: the lease of %s holds %t", name, c.name, name != "unchanged")
				}
				w.is(c, end != nil || name == "unchanged", name)
			}
		}
	})
}

// A lease holds only while its item is in the table: it ends with the item's place in a
// full cache, and so does what it would not be told of any more.
func TestLeaseOfEvicted(t *testing.T) {
	t.Run("attack_107_full_cache", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), &cached.Options{MaxEntries: 64, TTL: time.Hour})
		var leases []storage.Lease
		var digests []storage.Digest
		for i := range 500 {
			v := w.session("", fmt.Sprint("s", i), 0)
			w.must(w.base.Base.CreateSession(w.ctx, v, storage.Digest{}))
			for range 2 {
				_, u, err := w.s.SessionByDigest(w.ctx, v.Digest)
				w.must(err)
				if i := len(leases); u.Lease() != nil && (i == 0 || digests[i-1] != v.Digest) {
					leases, digests = append(leases, u.Lease()), append(digests, v.Digest)
				}
			}
		}
		if len(leases) != 500 {
			t.Fatalf("%d leases", len(leases))
		}
		holding := 0
		for i, l := range leases {
			holds := w.holds(l)
			if holds {
				holding++
			}
			if kept := w.asked(func() { _, _, _ = w.s.SessionByDigest(w.ctx, digests[i]) }) == 0; holds && !kept {
				t.Error("a lease of what is not kept holds") // the other way round: what came back has another one
			}
			w.s.InvalidateKey(cached.Key{Kind: cached.Sessions, Digest: digests[i]})
			if w.holds(l) {
				t.Errorf("%d: held before: %t; holds after its end", i, holds)
			}
		}
		if holding == 0 {
			t.Error("no lease holds")
		}
	})
}

// What is read again has another lease, and the one of what it replaced does not hold.
func TestLeaseOfReplaced(t *testing.T) {
	w := newWorld(t, memory.New(nil), &cached.Options{TTL: time.Minute})
	w.add("alice")
	for _, c := range lessors(w.give("alice")) {
		old := w.lease(c)
		w.clock.forward(time.Minute)
		fresh := w.lease(c)
		w.clock.forward(-time.Second) // the old one would be within its time
		if w.holds(old) {
			t.Errorf("%s: the lease of a replaced item holds", c.name)
		}
		w.clock.forward(time.Second)
		if !w.holds(fresh) || w.holds(old) {
			t.Errorf("%s: holds %t, the old one %t", c.name, w.holds(fresh), w.holds(old))
		}
		w.clock.forward(-time.Minute)
	}
}

// What is too large to be kept, or has a text that cannot be, is given without a lease
// that holds: who waited for it has an item that nothing can end.
func TestLeaseOfOversized(t *testing.T) {
	w := newWorld(t, memory.New(nil), &cached.Options{MaxBytes: 10_000, MaxEntries: 10})
	w.add("alice")
	v := w.session("alice", "large", 0)
	v.Data = []byte(strings.Repeat("x", 20_000))
	w.must(w.base.Base.CreateSession(w.ctx, v, storage.Digest{}))
	for _, l := range w.leasesOfFlight(func() storage.Lease {
		_, u, err := w.s.SessionByDigest(w.ctx, v.Digest)
		if err != nil {
			t.Error(err)
		}
		return u.Lease()
	}) {
		if l != nil && w.holds(l) {
			t.Error("holds although nothing is kept")
		}
	}
	if u := w.s.Usage(); u.Entries != 0 {
		t.Errorf("%+v", u)
	}
}

// leasesOfFlight runs ask by 16 who wait for one lookup of the store.
func (w *world) leasesOfFlight(ask func() storage.Lease) []storage.Lease {
	read, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.base.then(func(err error) error {
		once.Do(func() { close(read); <-goOn })
		return err
	})
	defer w.base.then(nil)
	leases := make([]storage.Lease, 16)
	var wg sync.WaitGroup
	wg.Go(func() { leases[0] = ask() })
	<-read
	var asking sync.WaitGroup
	for i := 1; i < len(leases); i++ {
		asking.Add(1)
		wg.Go(func() { asking.Done(); leases[i] = ask() })
	}
	asking.Wait()
	close(goOn)
	wg.Wait()
	return leases
}

// Who waited for another's lookup has a lease of what that left, which ends like any other;
// where the lookup was overtaken or bypassed, one that does not hold.
func TestLeaseOfFlight(t *testing.T) {
	for what, overtake := range map[string]func(*cached.Store){
		"": nil, "flush": (*cached.Store).FlushAll, "subject": func(s *cached.Store) { s.InvalidateSubject("alice") },
		"bypass": func(s *cached.Store) { s.Bypass(true) },
	} {
		w := newWorld(t, memory.New(nil), nil)
		w.add("alice")
		for _, c := range lessors(w.give("alice")) {
			leases := w.leasesOfFlight(func() storage.Lease {
				u, good, err := c.look(w.ctx, w.s)
				if !good || err != nil {
					t.Errorf("%s: %t, %v", c.name, good, err)
				}
				return u.Lease()
			})
			if what == "" {
				n := 0
				for _, l := range leases {
					if l != nil && w.holds(l) {
						n++
					}
				}
				if n < len(leases)-1 {
					t.Errorf("%s: %d leases of %d", c.name, n, len(leases))
				}
				w.s.InvalidateSubject("alice")
			} else {
				overtake(w.s)
			}
			for _, l := range leases {
				if l != nil && w.holds(l) {
					t.Errorf("%s after %q: a lease of the flight holds", c.name, what)
				}
			}
			w.s.Bypass(false)
		}
	}
}

// An item that expires while it is read, and one that was revoked meanwhile, leave nothing.
func TestLeaseOfLateFlight(t *testing.T) {
	w := newWorld(t, memory.New(nil), &cached.Options{TTL: time.Hour})
	w.add("alice")
	c := w.give("alice")[1]
	w.clock.forward(2 * time.Hour) // expired, which the scheme says
	for range 3 {
		u, _, err := c.look(w.ctx, w.s)
		if w.must(err); u.Lease() != nil && w.holds(u.Lease()) {
			t.Error("the lease of an expired token holds")
		}
	}
}

// Leases of one process end by the messages of another.
func TestLeaseAndMessages(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		telling := over(t, base, &cached.Options{Clock: w.clock.now, Tell: func(_ context.Context, c cached.Change) error {
			text, err := c.MarshalText()
			w.must(err)
			var got cached.Change
			w.must(got.UnmarshalText(text))
			got.Apply(w.s)
			return nil
		}})
		n := 0
		w.add("sample")
		for i, c := range w.give("sample") {
			if c.name == "standing" {
				continue
			}
			for what := range c.ends {
				n++
				id := fmt.Sprint("user", n)
				w.add(id)
				c := w.give(id)[i]
				l := w.lease(c)
				w.must(c.ends[what](telling))
				if w.holds(l) {
					t.Errorf("%s of %s: the other process's lease holds", what, c.name)
				}
			}
		}
	})
}
