package session_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
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

// A session that is kept after a change of the password stays in its group, so that what ends the group
// ends it, too.
func TestKeepStaysInGroup(t *testing.T) {
	s := memory.New(nil)
	a := newApp(t, s, nil)
	schemetest.Add(t, s, "alice")
	w := httptest.NewRecorder()
	schemetest.Must(t, a.x.StartIn(w, a.request("POST", "/", ""), authn.Login{Subject: "id-alice"}, "op-1"))
	r := a.request("POST", "/", "", "Cookie", sentIn(w))
	schemetest.Must(t, a.x.Keep(httptest.NewRecorder(), r, func() (authn.Login, error) {
		epoch, err := s.BumpEpoch(t.Context(), "id-alice")
		return authn.Login{Subject: "id-alice", Epoch: epoch}, err
	}))
	if n, err := a.x.EndGroup(t.Context(), "id-alice", "op-1"); n != 1 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
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
