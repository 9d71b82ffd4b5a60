package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// lasting is a store whose leases are always valid.
type lasting struct{ store }

func (l lasting) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	v, u, err := l.store.SessionByDigest(ctx, d)
	return v, u.Leased(schemetest.Forever{}), err
}

// A session expires by the scheme's clock, whatever the lease reports, and even if the next record
// of its use is due later.
func TestSharedExpires(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := newApp(t, lasting{s}, &session.Options{Idle: 2 * time.Minute, Absolute: 2 * time.Minute, Interval: 90 * time.Second})
	cookie := a.login("alice")
	for _, at := range []time.Duration{0, time.Minute, 90 * time.Second, 90 * time.Second, 2*time.Minute - time.Microsecond} {
		a.c.Set(at)
		for range 2 {
			if got := a.who(cookie); got != "session:id-alice" {
				t.Errorf("%v: %s", at, got)
			}
		}
	}
	a.c.Set(2 * time.Minute)
	if got := a.who(cookie); got != "Unauthorized" {
		t.Errorf("at its end: %s", got)
	}
}
