package consent_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
)

// A decision that the store failed to keep can be sent again, and so can a pushed request: what stood
// for it is used up in the transaction that stores the outcome. Once that succeeded, it is not.
func TestRetriedDecisions(t *testing.T) {
	t.Run("attack_307", func(t *testing.T) {
		oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
			store := &oauthtest.Writes{Store: s}
			w := oauthtest.NewDevices(t, store, nil)
			alice := w.Alice("s1")
			fails := func(what string, f func() int) {
				t.Helper()
				store.FailDecision.Store(true)
				for range 2 {
					if got := f(); got != 503 {
						t.Errorf("%s, the store is down: %d", what, got)
					}
				}
				store.FailDecision.Store(false)
				if events := w.Take(); events != "" {
					t.Errorf("%s, the store is down: events %s", what, events)
				}
			}

			handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), ""))
			allow := func() int { return w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow").Code }
			fails("consent", allow)
			if got := allow(); got != 303 || w.Take() != "consent.given" {
				t.Errorf("consent, sent again: %d", got)
			}
			if got := allow(); got != 400 {
				t.Errorf("consent, answered: %d", got)
			}

			b := w.Begin()
			handle = oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+b.User))
			decide := func() int { return w.DevicePage(alice, "POST", "handle="+handle+"&decision=allow").Code }
			fails("device", decide)
			if got := decide(); got != 200 || w.Take() != "device.approved" {
				t.Errorf("device, sent again: %d", got)
			}
			if got := decide(); got != 400 {
				t.Errorf("device, answered: %d", got)
			}

			query := w.Pushed()
			ask := func() int { return w.Authorizes(alice, "GET", query, "").Code }
			fails("pushed", ask)
			if got := ask(); got != 200 {
				t.Errorf("pushed, asked again: %d", got)
			}
			handle = oauthtest.HandleOf(t, w.Authorizes(alice, "GET", query, "")) // a reload shows the page
			fails("pushed, decided", allow)
			if got := allow(); got != 303 {
				t.Errorf("pushed, decided again: %d", got)
			}
			if got := ask(); got != 400 {
				t.Errorf("pushed, used: %d", got)
			}
		})
	})
}
