package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// TestPoolsAreNotUsedUp checks that one large network cannot use up what all callers share, such
// as the pending requests of a public client: its users could not begin to log in.
func TestPoolsAreNotUsedUp(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	for what, x := range map[string]struct {
		networks int
		every    time.Duration
		ask      func(*oauthtest.World, string) oauthtest.Reply
	}{
		"push": {64, 190 * time.Millisecond, func(w *oauthtest.World, addr string) oauthtest.Reply {
			return w.From(addr, w.PushedAuthorization(), pushForm+oauthtest.ChallengeOf(oauthtest.Verifier))
		}},
		"device": {128, 500 * time.Millisecond, func(w *oauthtest.World, addr string) oauthtest.Reply {
			return w.From(addr, w.DeviceAuthorization(), "client_id=tv")
		}},
		"register":         {16, 10 * time.Second, (*oauthtest.World).Registers},
		"register, slowly": {16, time.Minute, (*oauthtest.World).Registers},
	} {
		t.Run("attack_285/"+what, func(t *testing.T) {
			db := memory.New(nil)
			w := oauthtest.NewDevices(t, db, func(o *oauthtest.Options) { oauthtest.WithLimits(o); o.Limits = nil })
			period := 4000 * x.every
			stranger, good, others := 0, 0, 0
			for n := range int(period / x.every) {
				w.Pass(x.every)
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
