package session_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

// Explain does not exchange a remember cookie, so the next visit does not look like theft.
func TestExplainExchangesNothing(t *testing.T) {
	t.Run("attack_305", func(t *testing.T) {
		each(t, func(t *testing.T, s store) {
			schemetest.Add(t, s, "alice")
			a := remembering(t, s, session.RememberOptions{Grace: -1})
			b := visit(t, a, "alice")
			a.c.Set(3 * time.Hour)
			a.take()
			m := authn.New(authn.Chain{a.x}, nil)
			for range 2 {
				id, _, err := m.Explain(a.request("GET", "/", "", "Cookie", b.memo))
				if err != nil || id.Subject != "id-alice" || id.Scheme != "session" || !id.AuthTime.Equal(born) {
					t.Errorf("explained: %+v, %v", id, err)
				}
			}
			if got := a.take(); got != "" {
				t.Errorf("events %q", got)
			}
			old := b.memo
			if got := b.who(); got != aliceIn {
				t.Errorf("the visit after it: %s", got)
			}
			if id, _, err := m.Explain(a.request("GET", "/", "", "Cookie", old)); err == nil {
				t.Errorf("an exchanged cookie: %+v", id)
			}
			if got := b.who(); got != aliceIn {
				t.Errorf("an explained theft ended the login: %s", got)
			}
		})
	})
}
