package oauth2_test

import (
	"net/http"
	"testing"
	"time"
)

// refreshFrom exchanges a refresh token from an address.
func (w *world) refreshFrom(address, token string) reply {
	h := w.Token()
	return w.post(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = address
		h.ServeHTTP(rw, r)
	}), "app", "grant_type", "refresh_token", "refresh_token", token)
}

// The window for a lost answer closes to other sources as soon as the answer was used (RULES
// T3): who copied the predecessor gets nothing of it, and is noticed.
func TestGraceNarrows(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, nil)
		w.now.Store(time.Since(born).Microseconds()) // the store's own clock says when it was claimed
		const home, tab, thief = "192.0.2.1:1000", "192.0.2.1:2000", "198.51.100.7:1000"
		for name, c := range map[string]struct {
			use   func(access string)
			from  string
			again bool
		}{
			"unused":       {func(string) {}, thief, true},
			"used_tab":     {func(a string) { w.status(a) }, tab, true},
			"used_thief":   {func(a string) { w.status(a) }, thief, false},
			"asked_thief":  {func(a string) { w.post(w.Introspect(), "app", "token", a) }, thief, false},
			"other_access": {func(string) { w.status(w.exchange("app", w.code("app", nil)).Access) }, thief, true},
		} {
			t.Run(name, func(t *testing.T) {
				got := w.exchange("app", w.code("app", nil))
				next := w.refreshFrom(home, got.Refresh)
				if next.Status != 200 {
					t.Fatal(next.Body)
				}
				c.use(next.Access)
				again := w.refreshFrom(c.from, got.Refresh)
				if c.again != (again.Status == 200 && again.Access == next.Access) {
					t.Errorf("asked again: %d %s", again.Status, again.Body)
				}
				if want := map[bool]int{true: 200, false: 401}[c.again]; w.status(next.Access) != want {
					t.Errorf("the family: %d, want %d", w.status(next.Access), want)
				}
			})
		}
	})
}
