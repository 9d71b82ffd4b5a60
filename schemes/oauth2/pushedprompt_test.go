package oauth2_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// pushed pushes a good request of "app" with more parameters and returns what the browser brings.
func (w *world) pushed(pairs ...string) string {
	w.t.Helper()
	got := w.post(w.Push(), "app", append([]string{"response_type", "code", "redirect_uri", redirect, "code_challenge", challengeOf(verifier), "code_challenge_method", "S256"}, pairs...)...)
	var answer struct {
		URI string `json:"request_uri"`
	}
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || got.Status != 201 {
		w.t.Fatalf("%d %s", got.Status, got.Body)
	}
	return url.Values{"client_id": {"app"}, "request_uri": {answer.URI}}.Encode()
}

// A pushed request that wants a new login is answered after one: what it says can not be left
// out of its address, and it went to the login page again and again.
func TestPushedPrompt(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, withSessions)
		c, err := s.ClientByID(t.Context(), "app")
		must(t, err)
		c.Trusted = true // is asked for consent only where the prompt wants it
		must(t, s.UpdateClient(t.Context(), c))
		for what, pairs := range map[string][]string{
			"login": {"prompt", "login"}, "max_age 0": {"max_age", "0"}, "login and max_age": {"prompt", "login", "max_age", "60"},
			"login and consent": {"prompt", "login consent"},
		} {
			t.Run("attack_144_"+what, func(t *testing.T) {
				before := w.alice("s1")
				w.pass(time.Second)
				query := w.pushed(pairs...)
				toLogin := func(rec *httptest.ResponseRecorder) string {
					t.Helper()
					to, err := url.Parse(rec.Header().Get("Location"))
					if err != nil || rec.Code != 303 || to.Path != "/login" {
						t.Fatalf("%d to %s", rec.Code, to)
					}
					next, err := url.Parse(to.Query().Get("next"))
					must(t, err)
					return next.RawQuery
				}
				back := toLogin(w.authorize(before, "GET", query, ""))
				toLogin(w.authorize(before, "GET", back, "")) // no new login, whoever goes back by hand
				w.pass(5 * time.Second)
				rec := w.authorize(w.alice("s2"), "GET", back, "")
				if what == "login and consent" {
					handleOf(t, rec)
					return
				}
				if sent(t, rec, redirect).Get("code") == "" {
					t.Errorf("%d to %s", rec.Code, rec.Header().Get("Location"))
				}
			})
		}
	})
}
