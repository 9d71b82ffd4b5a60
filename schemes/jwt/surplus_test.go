package jwt_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// A login is never rejected because of the user's other logins. It ends the oldest.
func TestManyLogins(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		t.Run("attack_239", func(t *testing.T) {
			w := over(t, s, &schemetest.Clock{From: time.Now()}, jwt.Options{MaxLogins: 3})
			var all []jwt.Pair
			for range 5 {
				w.clock.Pass(time.Second)
				all = append(all, w.issue(t))
			}
			if got := w.events.Take(); got != "token.created token.created token.created token.created token.evicted token.created token.evicted" {
				t.Errorf("events: %s", got)
			}
			for i, p := range all {
				want := 200
				if i < 2 {
					want = 401
				}
				if _, got := w.refreshes(t, p.Refresh); got != want {
					t.Errorf("refresh %d: %d", i, got)
				}
				if got := w.status(p.Access); got != want {
					t.Errorf("access %d: %d", i, got)
				}
			}
			var wait sync.WaitGroup
			for range 12 {
				wait.Go(func() { w.issue(t) })
			}
			wait.Wait()
			if list, err := w.List(t.Context(), "id-alice", 100); err != nil || len(list) == 0 || len(list) > 3 {
				t.Errorf("%d at once, %v", len(list), err)
			}
		})
	})
	t.Run("attack_239_default", func(t *testing.T) {
		for max, want := range map[int]int{0: 1000, jwt.NoLimit: 1010} {
			w := newWorld(t, jwt.Options{MaxLogins: max})
			for range 1010 {
				w.clock.Pass(time.Second)
				w.issue(t)
			}
			if list, err := w.List(t.Context(), "id-alice", 10_000); err != nil || len(list) != want {
				t.Errorf("MaxLogins %d: %d logins, %v", max, len(list), err)
			}
		}
	})
	for _, bad := range []int{-2, 1_000_001} {
		if _, err := jwt.New(issuer, audience, newWorld(t, jwt.Options{}).ring, memory.New(nil), &jwt.Options{MaxLogins: bad}); err == nil {
			t.Errorf("MaxLogins %d was taken", bad)
		}
	}
}

// If the store fails after the login, the login is not rejected.
func TestSurplusStays(t *testing.T) {
	t.Run("attack_239_fault", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		var log bytes.Buffer
		x, err := jwt.New(issuer, audience, w.ring, schemetest.Watch(w.store).Fail(errors.New("the database is down"), "CountFamilies"), &jwt.Options{Clock: w.clock.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		schemetest.Must(t, err)
		epoch, err := w.store.SubjectEpoch(t.Context(), "id-alice")
		schemetest.Must(t, err)
		p, err := x.Issue(t.Context(), "id-alice", epoch, nil)
		if err != nil || statusOf(x, p.Access) != 200 || !strings.Contains(log.String(), "old logins not revoked") {
			t.Errorf("%v; log: %s", err, &log)
		}
	})
}
