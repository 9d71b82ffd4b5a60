package consent_test

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// What was made while a clock was ahead is refused when the clock is right: it would be valid for
// longer than its lifetime.
func TestClockWasAhead_attack_336(t *testing.T) {
	for name, c := range map[string]struct {
		ahead time.Duration
		good  bool
	}{"as far as clocks differ": {storage.ClockSkew, true}, "further": {storage.ClockSkew + time.Second, false}} {
		t.Run(name, func(t *testing.T) {
			w := oauthtest.NewDevices(t, memory.New(nil), nil)
			w.Pass(c.ahead)
			code := w.Code("spa", nil)
			issued := w.Exchange("spa", w.Code("spa", nil))
			var pushed struct {
				URI string `json:"request_uri"`
			}
			got := w.Post(w.PushedAuthorization(), "spa", "response_type", "code", "redirect_uri", oauthtest.Redirect,
				"code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256")
			oauthtest.Must(t, json.Unmarshal([]byte(got.Body), &pushed))
			handle := oauthtest.HandleOf(t, w.Authorizes(w.Alice("s1"), "GET", oauthtest.Query("spa"), ""))
			typed, polled := w.Begin(), w.Begin()
			if rec := w.Decides(w.Alice("s1"), polled.User, "allow"); rec.Code != 200 {
				t.Fatal(rec.Code)
			}
			w.Pass(-c.ahead)
			alice := w.Alice("s1")
			is := func(what string, got, want bool) {
				t.Helper()
				if got != (want == c.good) {
					t.Errorf("%s: accepted %t", what, got)
				}
			}
			is("code", w.Exchange("spa", code).Status == 200, true)
			_, err := w.Identity(issued.Access)
			is("access token", err == nil, true)
			is("pushed request", w.Authorizes(alice, "GET", url.Values{"client_id": {"spa"}, "request_uri": {pushed.URI}}.Encode(), "").Code == 200, true)
			is("consent page", w.Authorizes(alice, "POST", "", "handle="+url.QueryEscape(handle)+"&decision=allow").Code == 303, true)
			is("user code", w.DevicePage(alice, "POST", "user_code="+typed.User).Code == 200, true)
			is("device code", w.Poll("tv", polled.Device).Status == 200, true)
		})
	}
}

// A login while the clock was ahead is no new one when a client wants one.
func TestLoginAhead_attack_336(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	for ahead, want := range map[time.Duration]int{0: 200, storage.ClockSkew: 200, storage.ClockSkew + time.Second: 303} {
		w.Pass(ahead)
		alice := w.Alice("s1")
		w.Pass(-ahead)
		if rec := w.Authorizes(alice, "GET", oauthtest.Query("app", "max_age", "60"), ""); rec.Code != want {
			t.Errorf("%v ahead: %d", ahead, rec.Code)
		}
	}
}
