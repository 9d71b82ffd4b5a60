package openid_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
)

// An ID token of a client that was deleted is no hint of a later client with the same ID: it neither
// ends a session without a question nor names the user who is to be there.
func TestHintOfADeletedClient_attack_342(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		p := oauthtest.NewProvider(t, s, jose.ES256, nil)
		_, id := p.Login("s1")
		c, err := s.ClientByID(t.Context(), "app")
		oauthtest.Must(t, err)
		c.Trusted = true
		renew := func() {
			t.Helper()
			oauthtest.Must(t, s.DeleteClient(t.Context(), "app"))
			c.Created = p.World.Clock()
			oauthtest.Must(t, s.CreateClient(t.Context(), c))
		}
		asks := func() string {
			rec := p.Authorizes(p.Alice("s1"), "GET", oauthtest.Query("app", "scope", "openid", "id_token_hint", id, "prompt", "none"), "")
			return oauthtest.Sent(t, rec, oauthtest.Redirect).Get("error")
		}
		bye := "id_token_hint=" + id + "&post_logout_redirect_uri=" + url.QueryEscape("https://app.example/bye")
		oauthtest.Must(t, s.UpdateClient(t.Context(), c))
		if got := asks(); got != "" {
			t.Fatalf("its own client: %s", got)
		}
		p.Pass(2 * time.Second)
		renew()
		if got := asks(); got != "login_required" {
			t.Errorf("authorize: %q", got)
		}
		for _, session := range []string{"s1", ""} {
			if rec := p.LogsOut(session, bye, ""); rec.Code != 400 || rec.Header().Get("Location") != "" || p.Ended != 0 {
				t.Errorf("logout in %q: %d %s, %d ended", session, rec.Code, rec.Header().Get("Location"), p.Ended)
			}
		}
		c.Trusted = false
		oauthtest.Must(t, s.UpdateClient(t.Context(), c))
		_, id = p.Login("s1")
		c.Trusted = true
		oauthtest.Must(t, s.UpdateClient(t.Context(), c))
		if got := asks(); got != "" {
			t.Errorf("an ID token of the later client: %s", got)
		}
	})
}
