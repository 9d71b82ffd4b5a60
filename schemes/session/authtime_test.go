package session_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

// A session that begins with an earlier login, such as that of another program, is no login of now.
func TestEarlierLogin_attack_495(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := remembering(t, s, session.RememberOptions{})
		for name, start := range map[string]func(*httptest.ResponseRecorder, authn.Login) error{
			"start": func(w *httptest.ResponseRecorder, l authn.Login) error {
				return a.x.Start(w, a.request("POST", "/", ""), l)
			},
			"remembered": func(w *httptest.ResponseRecorder, l authn.Login) error {
				return a.x.StartRemembered(w, a.request("POST", "/", ""), l)
			},
		} {
			for _, c := range []struct{ at, want time.Time }{
				{time.Time{}, born}, {born.Add(-time.Hour), born.Add(-time.Hour)}, {born.Add(time.Hour), born}, {authn.UnknownAuthTime, authn.UnknownAuthTime},
			} {
				w := httptest.NewRecorder()
				schemetest.Must(t, start(w, authn.Login{Subject: "id-alice", Name: "alice", AuthTime: c.at}))
				id, err := a.x.Authenticate(a.request("GET", "/", "", "Cookie", sentIn(w)))
				schemetest.Must(t, err)
				if !id.AuthTime.Equal(c.want) || session.IsRemembered(id) != c.want.Before(born) {
					t.Errorf("%s of %s: %s, remembered %t", name, c.at, id.AuthTime, session.IsRemembered(id))
				}
			}
		}
	})
}

// sentIn returns the session cookie of a response.
func sentIn(w *httptest.ResponseRecorder) string {
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-session" && c.Value != "" {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}
