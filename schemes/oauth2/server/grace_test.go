package server_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
)

// The window for a lost answer closes to other sources as soon as the answer was used (RULES
// T3): who copied the predecessor gets nothing of it, and is noticed.
func TestGraceNarrows(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		const home, tab, thief = "192.0.2.1:1000", "192.0.2.1:2000", "198.51.100.7:1000"
		for name, c := range map[string]struct {
			use   func(access string)
			from  string
			again bool
		}{
			"unused":       {func(string) {}, thief, true},
			"used_tab":     {func(a string) { w.Status(a) }, tab, true},
			"used_thief":   {func(a string) { w.Status(a) }, thief, false},
			"asked_thief":  {func(a string) { w.Post(w.Introspect(), "app", "token", a) }, thief, false},
			"other_access": {func(string) { w.Status(w.Exchange("app", w.Code("app", nil)).Access) }, thief, true},
		} {
			t.Run(name, func(t *testing.T) {
				w.Elapsed.Store(time.Since(oauthtest.Born).Microseconds()) // the store's own clock says when it was claimed
				got := w.Exchange("app", w.Code("app", nil))
				next := w.RefreshFrom(home, got.Refresh)
				if next.Status != 200 {
					t.Fatal(next.Body)
				}
				c.use(next.Access)
				again := w.RefreshFrom(c.from, got.Refresh)
				if c.again != (again.Status == 200 && again.Access == next.Access) {
					t.Errorf("asked again: %d %s", again.Status, again.Body)
				}
				if want := map[bool]int{true: 200, false: 401}[c.again]; w.Status(next.Access) != want {
					t.Errorf("the family: %d, want %d", w.Status(next.Access), want)
				}
			})
		}
	})
}
