package cached_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// against runs 64 lookups of each credential without a pause beside one call that ends
// them: none that begins after the call has returned is answered with yes.
func (w *world) against(what string, end func(*cached.Store) error, list ...credential) {
	w.Helper()
	var over, stop atomic.Bool
	var warm, after, wg sync.WaitGroup
	warm.Add(64)
	after.Add(64)
	for i := range 64 {
		c := list[i%len(list)]
		wg.Go(func() {
			first, left := true, 5
			for n := 0; !stop.Load(); n++ {
				runtime.Gosched()
				ended := over.Load()
				good, err := c.good(w.ctx, w.s)
				if err != nil || ended && good || n == 0 && !good {
					w.Errorf("%s of %s: lookup %d, ended %t: good %t, %v", what, c.name, n, ended, good, err)
					stop.Store(true)
				}
				if first {
					first = false
					warm.Done()
				}
				if ended {
					if left--; left == 0 {
						break
					}
				}
			}
			after.Done()
		})
	}
	warm.Wait()
	if err := end(w.s); err != nil {
		w.Errorf("%s: %v", what, err)
		stop.Store(true)
	}
	over.Store(true)
	after.Wait()
	wg.Wait()
	for _, c := range list {
		w.is(c, false, what)
	}
}

func TestRevocationRaces(t *testing.T) {
	eachWay(t, func(t *testing.T, base cached.Base, how way) {
		w := newWorld(t, base, nil).by(how)
		n := 0
		subject := func() string {
			n++
			id := fmt.Sprintf("user%d", n)
			w.add(id)
			return id
		}
		t.Run("attack_042_logout_during_use", func(t *testing.T) {
			w.TB = t
			for i, c := range w.give(subject()) {
				for what := range c.ends {
					fresh := w.give(subject())[i]
					w.against(what, fresh.ends[what], fresh)
				}
			}
		})
		t.Run("attack_044_everywhere", func(t *testing.T) {
			w.TB = t
			for what := range everywhere(w.ctx, "", 0) {
				id := subject()
				w.against(what, everywhere(w.ctx, id, 0)[what], w.give(id)...)
			}
		})
		t.Run("attack_043_login_during_logout_all", func(t *testing.T) {
			w.TB = t
			id := subject()
			var wg sync.WaitGroup
			begun := make(chan storage.Digest, 64)
			for i := range 64 {
				wg.Go(func() {
					epoch, err := w.s.SubjectEpoch(w.ctx, id)
					if err != nil {
						w.Error(err)
						return
					}
					v := w.session(id, fmt.Sprint(id, i), epoch)
					if w.s.CreateSession(w.ctx, v, storage.Digest{}) == nil {
						_, _, _ = w.s.SessionByDigest(w.ctx, v.Digest)
						begun <- v.Digest
					}
				})
			}
			if _, err := w.s.BumpEpoch(w.ctx, id); err != nil {
				w.Error(err)
			}
			present, err := w.s.SubjectEpoch(w.ctx, id)
			w.must(err)
			wg.Wait()
			close(begun)
			for d := range begun {
				for range 2 {
					if _, u, err := w.s.SessionByDigest(w.ctx, d); err != nil || u.Epoch != present {
						w.Errorf("a login is good as of epoch %d, which is %d by now; %v", u.Epoch, present, err)
					}
				}
			}
		})
	})
}

// A revoke that overtakes a lookup between the store's answer and the cache: the answer is
// good for the caller alone who asked for it before, and nothing of it stays.
func TestRevokeOvertakesLookup(t *testing.T) {
	eachWay(t, func(t *testing.T, base cached.Base, how way) {
		w := newWorld(t, base, nil).by(how)
		n := 0
		try := func(i int, what string, everyone bool) {
			n++
			id := fmt.Sprintf("user%d", n)
			w.add(id)
			c := w.give(id)[i]
			end := c.ends[what]
			if everyone {
				end = everywhere(w.ctx, id, 0)[what]
			}
			read, goOn := make(chan struct{}), make(chan struct{})
			var once sync.Once
			w.base.then(func(err error) error {
				once.Do(func() { close(read); <-goOn })
				return err
			})
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = c.good(w.ctx, w.s) })
			<-read
			var good atomic.Int64
			for range 8 { // some wait for the flight, some begin a new one
				wg.Go(func() { _, _ = c.good(w.ctx, w.s) })
			}
			w.must(end(w.s))
			for range 8 {
				wg.Go(func() {
					if ok, err := c.good(w.ctx, w.s); ok || err != nil {
						good.Add(1)
						w.Errorf("%s of %s: good %t, %v", what, c.name, ok, err)
					}
				})
			}
			close(goOn)
			wg.Wait()
			w.base.then(nil)
			w.is(c, false, what)
		}
		w.add("sample")
		for i, c := range w.give("sample") {
			for what := range c.ends {
				try(i, what, false)
			}
			for what := range everywhere(w.ctx, "", 0) {
				try(i, what, true)
			}
		}
	})
}

// Many who ask for one key at once ask the store once, for what is there and for what is
// not.
func TestOneFlight(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		w.add("alice")
		unknown := storage.DigestOf("unknown")
		for _, c := range append(w.give("alice"), credential{name: "unknown", good: w.static(unknown)}) {
			if n := w.asked(func() {
				var wg sync.WaitGroup
				for range 64 {
					wg.Go(func() {
						if good, err := c.good(w.ctx, w.s); err != nil || good == (c.name == "unknown") {
							t.Errorf("%s: %t, %v", c.name, good, err)
						}
					})
				}
				wg.Wait()
			}); n != 1 {
				t.Errorf("%s: the store was asked %d times", c.name, n)
			}
		}
	})
}
