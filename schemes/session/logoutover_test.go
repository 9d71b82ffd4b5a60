package session_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

// A logout ends a session that is not valid at the moment: it could become valid again.
func TestLogoutWhileNotValid_attack_459(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		for name, c := range map[string]struct{ lapse, restore func(a *app) error }{
			"disabled": {
				func(a *app) error { return a.s.SetActive(a.t.Context(), "id-alice", false) },
				func(a *app) error { return a.s.SetActive(a.t.Context(), "id-alice", true) },
			},
			"expired by a clock that is ahead": {
				func(a *app) error { a.c.Set(3 * time.Hour); return nil },
				func(a *app) error { a.c.Set(0); return nil },
			},
		} {
			t.Run(name, func(t *testing.T) {
				a := newApp(t, s, &session.Options{Idle: time.Hour, Absolute: 10 * time.Hour})
				mine, left := a.login("alice"), a.login("alice")
				schemetest.Must(t, c.lapse(a))
				if got := a.who(mine); got != unauthorized {
					t.Fatalf("not valid now: %s", got)
				}
				if w := a.do("POST", "/logout", "", "Cookie", mine); w.Code != 204 {
					t.Errorf("logout: %d %s", w.Code, w.Body)
				}
				a.down(true)
				if w := a.do("POST", "/logout", "", "Cookie", left); w.Code != 503 {
					t.Errorf("logout without a database: %d", w.Code)
				}
				a.down(false)
				schemetest.Must(t, c.restore(a))
				if got := a.who(mine); got != unauthorized {
					t.Errorf("after the logout the session is valid again: %s", got)
				}
			})
		}
	})
}
