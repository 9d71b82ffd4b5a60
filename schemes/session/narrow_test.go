package session_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

// A thief who copied a remember cookie at the time of its exchange gets its response only within
// the grace period, and from another address not after the owner used the new cookie.
func TestRememberNarrows(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		for name, c := range map[string]struct {
			goesOn bool
			from   string
			stays  bool
		}{
			"attack_122_copied_elsewhere": {true, "198.51.100.7:9", false},
			"tab":                         {true, "192.0.2.1:9", true},
			"lost_answer_elsewhere":       {false, "198.51.100.7:9", true},
		} {
			t.Run(name, func(t *testing.T) {
				schemetest.Add(t, s, name)
				a := remembering(t, s, session.RememberOptions{})
				real := time.Since(born) // the store's own clock says when a cookie was exchanged
				a.c.Set(real - 90*time.Minute)
				owner := visit(t, a, name)
				copied := owner.memo
				a.c.Set(real)
				if got := owner.who(); got != "session:id-"+name {
					t.Fatalf("the owner: %s", got)
				}
				if c.goesOn {
					owner.who()
				}
				r := a.request("GET", "/", "", "Cookie", copied)
				r.RemoteAddr = c.from
				w := httptest.NewRecorder()
				a.mux.ServeHTTP(w, r)
				if stays := w.Code == 200; stays != c.stays {
					t.Errorf("the copy: %d", w.Code)
				}
				if got := owner.who() == "session:id-"+name; got != c.stays {
					t.Errorf("the owner stays: %t", got)
				}
			})
		}
	})
}
