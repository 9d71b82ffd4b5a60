package consent_test

import (
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
)

// A pushed request that wants a new login is answered after one: what it says cannot be left
// out of its address, and it went to the login page again and again.
func TestPushedPrompt(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithSessions)
		c, err := s.ClientByID(t.Context(), "app")
		oauthtest.Must(t, err)
		c.Trusted = true // is asked for consent only where the prompt wants it
		oauthtest.Must(t, s.UpdateClient(t.Context(), c))
		for what, pairs := range map[string][]string{
			"login": {"prompt", "login"}, "max_age 0": {"max_age", "0"}, "login and max_age": {"prompt", "login", "max_age", "60"},
			"login and consent": {"prompt", "login consent"},
		} {
			t.Run("attack_144_"+what, func(t *testing.T) {
				before := w.Alice("s1")
				w.Pass(time.Second)
				query := w.Pushed(pairs...)
				toLogin := func(rec *httptest.ResponseRecorder) string {
					t.Helper()
					to, err := url.Parse(rec.Header().Get("Location"))
					if err != nil || rec.Code != 303 || to.Path != "/login" {
						t.Fatalf("%d to %s", rec.Code, to)
					}
					next, err := url.Parse(to.Query().Get("next"))
					oauthtest.Must(t, err)
					return next.RawQuery
				}
				back := toLogin(w.Authorizes(before, "GET", query, ""))
				toLogin(w.Authorizes(before, "GET", back, "")) // no new login, whoever goes back by hand
				w.Pass(5 * time.Second)
				rec := w.Authorizes(w.Alice("s2"), "GET", back, "")
				if what == "login and consent" {
					oauthtest.HandleOf(t, rec)
					return
				}
				if oauthtest.Sent(t, rec, oauthtest.Redirect).Get("code") == "" {
					t.Errorf("%d to %s", rec.Code, rec.Header().Get("Location"))
				}
			})
		}
	})
}
