package session_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

// clearing counts how often the sessions of a series are deleted.
type clearing struct {
	store
	n atomic.Int64
}

func (c *clearing) DeleteSeries(ctx context.Context, subject, series, keep string) (int, error) {
	c.n.Add(1)
	return c.store.DeleteSeries(ctx, subject, series, keep)
}

// A browser that sends an invalid remember cookie again and again does not make the server look for
// the sessions of its series each time.
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
				c := &clearing{store: s}
				a := remembering(t, c, session.RememberOptions{Grace: -1})
				b := visit(t, a, "alice")
				end(a, b)
				before := c.n.Load()
				for range 20 {
					dead := &browser{a: a, memo: b.memo}
					if got := dead.who(); got != unauthorized {
						t.Fatal(got)
					}
				}
				if n := c.n.Load() - before; n > 1 {
					t.Errorf("%d deletions for 20 requests", n)
				}
			})
		}
	})
}
