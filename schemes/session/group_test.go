package session_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

// A group of sessions ends together and alone, and a login in a group is a login like any other.
func TestGroups(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		a := newApp(t, s, &session.Options{Remember: &session.RememberOptions{}})
		schemetest.Add(t, s, "alice")
		u, err := s.UserByName(t.Context(), "alice")
		schemetest.Must(t, err)
		begin := func(group string, at time.Time) {
			t.Helper()
			r, w := httptest.NewRequest("GET", site+"/", nil), httptest.NewRecorder()
			schemetest.Must(t, a.x.StartIn(w, r, authn.Login{Subject: u.ID, Name: u.Name, Epoch: u.Epoch, AuthTime: at}, group))
			r = httptest.NewRequest("GET", site+"/", nil)
			for _, c := range w.Result().Cookies() {
				r.AddCookie(c)
			}
			id, err := a.x.Authenticate(r)
			if want := a.c.Now(); err != nil || id.Subject != u.ID || id.AuthTime.After(want) || !at.IsZero() && at.Before(want) != id.AuthTime.Equal(at) {
				t.Errorf("%s: %v, %v", group, id.AuthTime, err)
			}
		}
		begin("o-1-a", time.Time{})
		begin("o-1-b", a.c.Now().Add(-time.Hour))
		begin("o-2-a", a.c.Now().Add(time.Hour)) // in the future counts as now
		schemetest.Must(t, a.x.Start(httptest.NewRecorder(), httptest.NewRequest("GET", site+"/", nil), authn.Login{Subject: u.ID, Epoch: u.Epoch}))
		for _, step := range []struct {
			prefix  string
			n, left int
		}{{"o-1-b", 1, 3}, {"o-1-b", 0, 3}, {"o-3", 0, 3}, {"o-1-", 1, 2}, {"o-2-a", 1, 1}} {
			n, err := a.x.EndGroup(t.Context(), u.ID, step.prefix)
			list, failed := a.x.Sessions(t.Context(), u.ID, 10)
			if err != nil || failed != nil || n != step.n || len(list) != step.left {
				t.Errorf("%+v: %d ended, %d left, %v, %v", step, n, len(list), err, failed)
			}
		}
		for _, bad := range []string{"", "a~b", "a.b", "a b", fmt.Sprintf("%065d", 1)} {
			if _, err := a.x.EndGroup(t.Context(), u.ID, bad); err == nil {
				t.Errorf("EndGroup %q", bad)
			}
			if err := a.x.StartIn(httptest.NewRecorder(), httptest.NewRequest("GET", site+"/", nil), authn.Login{Subject: u.ID, Epoch: u.Epoch}, bad); err == nil {
				t.Errorf("StartIn %q", bad)
			}
		}
	})
}
