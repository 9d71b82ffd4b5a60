package jwt_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// each runs f on every kind of store, opened twice as by two servers. For memory, both are the same
// store.
func each(t *testing.T, f func(t *testing.T, c *schemetest.Clock, one, two store)) {
	begin := func() *schemetest.Clock { return start() }
	t.Run("memory", func(t *testing.T) {
		c := begin()
		s := memory.New(&memory.Options{Clock: c.Now})
		f(t, c, s, s)
	})
	t.Run("cached", func(t *testing.T) {
		c := begin()
		s, err := cached.New(memory.New(&memory.Options{Clock: c.Now}), &cached.Options{Clock: c.Now, TTL: cached.MaxTTL})
		schemetest.Must(t, err)
		f(t, c, s, s)
	})
	both := func(t *testing.T, open func(*gormstore.Options) (*gormstore.Store, error)) {
		c := begin()
		var stores []store
		for range 2 {
			s, err := open(&gormstore.Options{Clock: c.Now, Timeout: 20 * time.Second})
			schemetest.Must(t, err)
			t.Cleanup(func() { s.Close() })
			schemetest.Must(t, s.Migrate(t.Context()))
			stores = append(stores, s)
		}
		f(t, c, stores[0], stores[1])
	}
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		both(t, func(o *gormstore.Options) (*gormstore.Store, error) { return sqlite.Open(path, o) })
	})
	t.Run("postgres", func(t *testing.T) {
		url := storetest.URL(t)
		both(t, func(o *gormstore.Options) (*gormstore.Store, error) { return postgres.Open(url, o) })
	})
}

// together sends one refresh token 64 times at once, to two servers in turn. It returns the
// different responses and the number of rejections.
func together(t *testing.T, one *world, two *jwt.Scheme, refresh string) (pairs map[jwt.Pair]int, refused int) {
	t.Helper()
	pairs = make(map[jwt.Pair]int)
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 64 {
		wg.Go(func() {
			<-start
			s := one.Scheme
			if i%2 == 1 {
				s = two
			}
			p, _, err := s.Refresh(context.Background(), refresh)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				pairs[p]++
			case isRefusal(err):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	return pairs, refused
}

func TestRefreshAtOnce(t *testing.T) {
	each(t, func(t *testing.T, c *schemetest.Clock, s1, s2 store) {
		w := over(t, s1, c, jwt.Options{Grace: jwt.NoGrace})
		two := overStore(t, w, s2, jwt.Options{Grace: jwt.NoGrace})
		t.Run("attack_092_strict", func(t *testing.T) {
			p := w.issue(t)
			pairs, refused := together(t, w, two, p.Refresh)
			if len(pairs) != 1 || refused != 63 {
				t.Fatalf("%d pairs, %d refusals", len(pairs), refused)
			}
			for q := range pairs { // documented: the family has ended, since it was used twice
				if _, got := w.refreshes(t, q.Refresh); got != 401 || w.status(q.Access) != 401 {
					t.Errorf("the family lives after a reuse: %d", got)
				}
			}
		})
		t.Run("attack_093_grace", func(t *testing.T) {
			w := &world{Scheme: overStore(t, w, s1, jwt.Options{}), clock: c, store: s1, ring: w.ring}
			two := overStore(t, w, s2, jwt.Options{})
			p := w.issue(t)
			pairs, refused := together(t, w, two, p.Refresh)
			if len(pairs) != 1 || refused != 0 {
				t.Fatalf("%d pairs, %d refusals", len(pairs), refused)
			}
			for q := range pairs {
				if _, got := w.refreshes(t, q.Refresh); got != 200 {
					t.Errorf("the one successor: %d", got)
				}
			}
			c.Pass(11 * time.Second)
			if _, got := w.refreshes(t, p.Refresh); got != 401 {
				t.Errorf("after the window: %d", got)
			}
		})
		t.Run("attack_096_refresh_or_revoke", func(t *testing.T) {
			for range 5 {
				p := w.issue(t)
				var mu sync.Mutex
				minted := []jwt.Pair{p}
				var wg sync.WaitGroup
				for i := range 64 {
					wg.Go(func() {
						if i == 20 {
							if err := two.Revoke(context.Background(), p.Refresh); err != nil {
								t.Error(err)
							}
							return
						}
						if q, _, err := w.Refresh(context.Background(), p.Refresh); err == nil {
							mu.Lock()
							defer mu.Unlock()
							minted = append(minted, q)
						} else if !isRefusal(err) {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				for _, q := range minted {
					if _, got := w.refreshes(t, q.Refresh); got == 200 || w.status(q.Access) == 200 {
						t.Error("something lives after the revoke")
					}
				}
			}
		})
		t.Run("attack_098_answer_lost", func(t *testing.T) {
			graced := overStore(t, w, s2, jwt.Options{})
			p := w.issue(t)
			lost, _, err := graced.Refresh(t.Context(), p.Refresh)
			schemetest.Must(t, err)
			again, repeated, err := graced.Refresh(t.Context(), p.Refresh)
			if err != nil || !repeated || again.Refresh != lost.Refresh || again.Access != lost.Access || !again.AccessExpires.Equal(lost.AccessExpires) {
				t.Errorf("repeated %t, %v", repeated, err)
			}
		})
		t.Run("attack_099_commit_unknown", func(t *testing.T) {
			// The claim was stored, but its acknowledgment is lost.
			f := &ambiguous{store: s1}
			graced := overStore(t, w, f, jwt.Options{})
			p := w.issue(t)
			f.lose = true
			if _, _, err := graced.Refresh(t.Context(), p.Refresh); err == nil || isRefusal(err) {
				t.Fatalf("got %v, want a fault", err)
			}
			f.lose = false
			q, repeated, err := graced.Refresh(t.Context(), p.Refresh)
			if err != nil || !repeated {
				t.Fatalf("the same token again: %v", err)
			}
			if _, _, err := graced.Refresh(t.Context(), q.Refresh); err != nil {
				t.Errorf("the successor: %v", err)
			}
		})
		t.Run("attack_106_blocklist_survives", func(t *testing.T) {
			// Blocked tokens are in the database, so another server, or this one after a restart,
			// rejects them immediately.
			p := w.issue(t)
			schemetest.Must(t, w.Revoke(t.Context(), p.Refresh))
			if got := statusOf(overStore(t, w, s2, jwt.Options{}), p.Access); got != 401 {
				t.Errorf("%d", got)
			}
		})
		t.Run("attack_108_no_false_answer", func(t *testing.T) {
			// The blocklist is always read: of 300 logins a third is revoked, and each response is
			// right.
			var all []jwt.Pair
			for i := range 300 {
				p := w.issue(t)
				if all = append(all, p); i%3 == 0 {
					schemetest.Must(t, w.Revoke(t.Context(), p.Refresh))
				}
			}
			for i, p := range all {
				want := 200
				if i%3 == 0 {
					want = 401
				}
				if got := statusOf(two, p.Access); got != want {
					t.Fatalf("login %d: %d, want %d", i, got, want)
				}
			}
		})
		t.Run("prune", func(t *testing.T) {
			p := w.issue(t)
			c.Pass(31 * 24 * time.Hour)
			for {
				n, err := s1.Prune(t.Context(), c.Now(), 100)
				schemetest.Must(t, err)
				if n < 100 {
					break
				}
			}
			if _, got := w.refreshes(t, p.Refresh); got != 401 {
				t.Errorf("%d", got)
			}
			if list, err := w.List(t.Context(), "id-alice", 10); err != nil || len(list) != 0 {
				t.Error(fmt.Sprint(list, err))
			}
		})
	})
}
