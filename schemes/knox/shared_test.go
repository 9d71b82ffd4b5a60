package knox_test

import (
	"context"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// lasting is a store with leases that stay valid.
type lasting struct{ store }

func (l lasting) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	t, u, err := l.store.CredentialByDigest(ctx, purpose, d)
	return t, u.Leased(schemetest.Forever{}), err
}

// A token expires by the scheme's clock, whatever the lease says, even before the next use must be
// recorded.
func TestSharedExpires(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	var c schemetest.Clock
	x := scheme(t, lasting{s}, &knox.Options{Clock: c.Now, TTL: time.Minute, MinInterval: time.Hour})
	text, _ := issue(t, x, "id-alice", knox.Token{})
	m := authn.New(x, nil)
	accepted := func() bool {
		ctx, err := m.Authenticate(schemetest.With("Knox " + text))
		return err == nil && authn.FromContext(ctx).Subject == "id-alice"
	}
	for range 3 {
		if !accepted() {
			t.Fatal("refused")
		}
	}
	c.Set(time.Minute - time.Microsecond)
	if !accepted() {
		t.Error("refused a moment before its end")
	}
	c.Set(time.Minute)
	if accepted() {
		t.Error("accepted at its end")
	}
}
