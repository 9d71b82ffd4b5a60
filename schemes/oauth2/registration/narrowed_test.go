package registration_test

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
)

// What an administrator took from a client that registered itself, the client does not give back
// to itself.
func TestNarrowedByAdministrator_attack_324(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w, initial := oauthtest.NewRegistry(t, s, nil)
		const metadata = `"redirect_uris":["https://new.example/cb"],"grant_types":["authorization_code","refresh_token"]`
		one := w.Manages("POST", "/oauth2/register", initial, "{"+metadata+"}")
		c, err := s.ClientByID(t.Context(), one.ID)
		oauthtest.Must(t, err)
		if len(c.Scopes) < 2 || len(c.Grants) != 2 {
			t.Fatalf("%+v", c)
		}
		c.Scopes, c.Grants = c.Scopes[:1], []string{"authorization_code"}
		oauthtest.Must(t, s.UpdateClient(t.Context(), c))
		got := w.Manages("PUT", "/oauth2/register/"+one.ID, one.Token, `{"client_id":"`+one.ID+`",`+metadata+`}`)
		now, err := s.ClientByID(t.Context(), one.ID)
		if got.Status != 200 || err != nil || strings.Join(now.Scopes, " ") != c.Scopes[0] || strings.Join(now.Grants, " ") != "authorization_code" || got.Scope != c.Scopes[0] {
			t.Errorf("%d %s: scopes %q, grants %q, %v", got.Status, got.Body, now.Scopes, now.Grants, err)
		}
		got = w.Manages("PUT", "/oauth2/register/"+one.ID, one.Token, `{"client_id":"`+one.ID+`","grant_types":["refresh_token"]}`)
		if now, _ = s.ClientByID(t.Context(), one.ID); got.Status != 400 || len(now.Grants) != 1 {
			t.Errorf("only what it lost: %d %s", got.Status, got.Body)
		}
	})
}
