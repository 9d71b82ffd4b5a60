package throttle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// A user who logs in to their own accounts from many addresses does not make the store forget the
// addresses of others.
func TestMarksSurviveAddresses(t *testing.T) {
	t.Run("edge_A11/marks", func(t *testing.T) {
		c := newClock()
		l := login(t, throttle.NewMemory(&throttle.MemoryOptions{MaxSets: 200}), throttle.LoginOptions{Clock: c.now})
		for i := range 20 {
			reserve(t, l, from(fmt.Sprintf("192.0.2.%d", i)), fmt.Sprint("owner", i)).Succeeded(t.Context())
		}
		for i := range 2000 {
			c.add(2 * time.Second)
			reserve(t, l, from(fmt.Sprintf("10.%d.%d.1", i/250, i%250)), "mallory").Succeeded(t.Context())
		}
		forgotten := 0
		for i := range 20 {
			if !reserve(t, l, from(fmt.Sprintf("192.0.2.%d", i)), fmt.Sprint("owner", i)).(authn.AccountAttempt).Known() {
				forgotten++
			}
		}
		if forgotten > 0 {
			t.Errorf("%d of 20 owners are strangers", forgotten)
		}
	})
}
