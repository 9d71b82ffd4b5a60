package oauth2_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// TestPoolsAreNotUsedUp checks that one large network cannot use up what all callers share, such
// as the pending requests of a public client: its users could not begin to log in.
func TestPoolsAreNotUsedUp(t *testing.T) {
	for what, x := range map[string]struct {
		networks int
		every    time.Duration
		ask      func(*world, string) reply
	}{
		"push": {64, 190 * time.Millisecond, func(w *world, addr string) reply {
			return w.from(addr, w.Push(), pushForm+challengeOf(verifier))
		}},
		"device": {128, 500 * time.Millisecond, func(w *world, addr string) reply {
			return w.from(addr, w.DeviceAuthorization(), "client_id=tv")
		}},
		"register":         {16, 10 * time.Second, (*world).registers},
		"register, slowly": {16, time.Minute, (*world).registers},
	} {
		t.Run("attack_292/"+what, func(t *testing.T) {
			db := memory.New(nil)
			w := newDevices(t, db, func(o *oauth2.Options) { withLimits(o); o.Limits = nil })
			period := 4000 * x.every
			stranger, good, others := 0, 0, 0
			for n := range int(period / x.every) {
				w.pass(x.every)
				if x.ask(w, fmt.Sprintf("[2001:db8:%x::1]:1", n%x.networks)).Status < 300 {
					stranger++
				}
				if late := time.Duration(n)*x.every > period/2; late && n%20 == 0 {
					others++
					if got := x.ask(w, fmt.Sprintf("%d.%d.7.1:1", 11+others%100, others/100)); got.Status < 300 {
						good++
					}
				}
			}
			t.Logf("stranger: %d, others: %d of %d", stranger, good, others)
			if good != others || others < 50 {
				t.Errorf("others: %d of %d requests accepted", good, others)
			}
		})
	}
}
