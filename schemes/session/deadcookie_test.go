package session_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

// listing counts how often an account's sessions are listed.
type listing struct {
	store
	lists atomic.Int64
}

func (l *listing) ListSessions(ctx context.Context, subject string, limit int) ([]storage.Session, error) {
	l.lists.Add(1)
	return l.store.ListSessions(ctx, subject, limit)
}

// A dead second cookie that is sent again and again does not make the server list the account's
// sessions each time.
func TestDeadCookies(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		for name, end := range map[string]func(a *app, b *browser){
			"reuse": func(a *app, b *browser) {
				thief := &browser{a: a, memo: b.memo}
				a.c.Set(3 * time.Hour)
				if got := thief.who(); got != aliceIn {
					t.Fatal(got)
				}
			},
			"logout": func(a *app, b *browser) {
				gone := *b
				if w := gone.send("POST", "/logout", ""); w.Code >= 300 {
					t.Fatal(w.Code)
				}
			},
		} {
			t.Run("attack_297_"+name, func(t *testing.T) {
				l := &listing{store: s}
				a := remembering(t, l, session.RememberOptions{Grace: -1})
				b := visit(t, a, "alice")
				end(a, b)
				before := l.lists.Load()
				for range 20 {
					dead := &browser{a: a, memo: b.memo}
					if got := dead.who(); got != unauthorized {
						t.Fatal(got)
					}
				}
				if n := l.lists.Load() - before; n > 1 {
					t.Errorf("%d lists of sessions for 20 requests", n)
				}
			})
		}
	})
}
