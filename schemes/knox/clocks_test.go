package knox_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
)

// A token that was issued or used while a clock was more than an hour ahead counts as expired once
// the clock is right, because its expiry is not reliable. A token without an expiry stays valid.
func TestClockWasAhead_attack_334(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		var c schemetest.Clock
		k := scheme(t, s, &knox.Options{TTL: 24 * time.Hour, Renew: true, Clock: c.Now})
		good := func(text string, want bool, why string) {
			t.Helper()
			if _, err := k.Authenticate(schemetest.With("Knox " + text)); (err == nil) != want {
				t.Errorf("%s: %v", why, err)
			}
		}
		c.Set(time.Hour)
		near, _ := issue(t, k, "id-alice", knox.Token{})
		c.Set(time.Hour + time.Second)
		far, _ := issue(t, k, "id-alice", knox.Token{})
		endless, _ := issue(t, k, "id-alice", knox.Token{TTL: knox.NoExpiry})
		c.Set(0)
		used, _ := issue(t, k, "id-alice", knox.Token{})
		c.Set(2 * time.Hour)
		good(used, true, "used two hours ahead, then")
		c.Set(0)
		good(near, true, "an hour ahead")
		good(far, false, "more than an hour ahead")
		good(endless, true, "without an expiry")
		good(used, false, "used two hours ahead")
	})
}
