package exchange_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/exchange"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	audience = "https://api.example" // of the world's server
	billing  = "https://billing.example"
)

// newWorld adds the clients "next", "last" and "end", which serve the audience and may exchange.
func newWorld(t *testing.T, s oauthtest.Store, signed bool) *oauthtest.World {
	t.Helper()
	p := oauthtest.NewProvider(t, s, jose.EdDSA, func(o *oauthtest.Options) { o.Exchange, o.SignedAccess = true, signed })
	addClients(t, p.World)
	return p.World
}

func addClients(t *testing.T, w *oauthtest.World) {
	t.Helper()
	for _, id := range []string{"next", "last", "end"} {
		secret, digest, err := oauth2.NewSecret()
		oauthtest.Must(t, err)
		w.Secrets[id] = secret
		c := storage.Client{ID: id, Method: oauth2.SecretBasic, Secret: digest, Grants: []string{oauth2.TokenExchange}, Scopes: []string{"read"}, Serves: []string{audience}, Resources: []string{billing}}
		oauthtest.Must(t, oauth2.CheckClient(c))
		oauthtest.Must(t, w.DB.CreateClient(t.Context(), c))
	}
}

func get(path string) *http.Request { return httptest.NewRequest("GET", oauthtest.Issuer+path, nil) }

func exchanges(w *oauthtest.World, client, token string, pairs ...string) oauthtest.Reply {
	return w.Post(w.Token(), client, append([]string{"grant_type", oauth2.TokenExchange, "subject_token", token, "subject_token_type", exchange.TokenType}, pairs...)...)
}

// each runs f on every store, for opaque and for signed tokens.
func each(t *testing.T, f func(t *testing.T, w *oauthtest.World)) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) { f(t, newWorld(t, s, signed)) })
		})
	}
}

// An exchanged token names its actors, and has fewer rights and a shorter life than the token that it
// was issued for.
func TestExchange(t *testing.T) {
	each(t, func(t *testing.T, w *oauthtest.World) {
		token := w.Exchange("app", w.Code("app", nil)).Access
		got := exchanges(w, "next", token)
		if got.Status != 200 || got.Scope != "read" || got.Type != "Bearer" || got.Expires < 299 || got.Expires > 300 || got.Refresh != "" || !strings.Contains(got.Body, `"issued_token_type":"`+exchange.TokenType+`"`) {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		for range 2 { // the second time from a cache
			id, err := w.Identity(got.Access)
			if err != nil || id.Subject != "id-alice" || id.Client != "next" || fmt.Sprint(id.Actors(), id.Scopes) != "[next] [read]" || id.Roles != nil || !id.Delegated() {
				t.Fatalf("%+v, %v", id, err)
			}
		}
		again := exchanges(w, "last", got.Access)
		if id, err := w.Identity(again.Access); err != nil || fmt.Sprint(id.Actors()) != "[last next]" {
			t.Errorf("%s: %+v, %v", again.Body, id, err)
		}
		if r := w.Post(w.Introspect(), "api", "token", again.Access); !r.Active || !strings.Contains(r.Body, `"act":{"sub":"last","act":{"sub":"next"}}`) {
			t.Errorf("introspection: %s", r.Body)
		}
		third := exchanges(w, "end", again.Access)
		if third.Status != 200 {
			t.Fatal(third.Body)
		}
		for what, c := range map[string]struct {
			got  oauthtest.Reply
			code string
		}{
			"loop":           {exchanges(w, "next", again.Access), "invalid_request"},
			"wider scope":    {exchanges(w, "next", token, "scope", "read write"), "invalid_scope"},
			"other resource": {exchanges(w, "next", token, "resource", "https://files.example"), "invalid_target"},
			"two resources":  {exchanges(w, "next", token, "resource", billing, "resource", audience), "invalid_target"},
			"audience":       {exchanges(w, "next", token, "audience", "x"), "invalid_target"},
			"actor token":    {exchanges(w, "next", token, "actor_token", "x"), "invalid_request"},
			"unknown":        {exchanges(w, "next", oauthtest.Changed(token)), "invalid_request"},
			"not registered": {exchanges(w, "other", token), "unauthorized_client"},
			"public":         {exchanges(w, "spa", token), "unauthorized_client"},
			"without a user": {exchanges(w, "next", w.Post(w.Token(), "app", "grant_type", "client_credentials").Access), "invalid_request"},
			"refresh token":  {exchanges(w, "next", w.Exchange("app", w.Code("app", nil)).Refresh), "invalid_request"},
			"not its server": {exchanges(w, "next", w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Resource = []string{"https://files.example"} })).Access), "invalid_request"},
		} {
			if c.got.Status != 400 || c.got.Error != c.code {
				t.Errorf("%s: %d %s", what, c.got.Status, c.got.Body)
			}
		}
		if r := exchanges(w, "next", token, "resource", billing); r.Status != 200 || w.Status(r.Access) != 401 {
			t.Errorf("for another API: %s", r.Body)
		}
		w.Pass(4 * time.Minute)
		if w.Status(got.Access) != 200 {
			t.Error("expired too early")
		}
		w.Pass(time.Minute)
		if w.Status(got.Access) != 401 || w.Status(token) != 200 {
			t.Error("after 5 minutes only the exchanged token has expired")
		}
	})
}

// An agent's token obtained by exchange dies with the user's log-out-everywhere, with the grant, and
// with the agent; revoking it leaves the user's grant alone.
func TestExchangedTokensEnd(t *testing.T) {
	for what, c := range map[string]struct {
		end   func(*oauthtest.World, string, string)
		grant int // the status of the user's token afterwards
	}{
		"log-out-everywhere": {func(w *oauthtest.World, _, _ string) {
			_, err := w.DB.BumpEpoch(w.T.Context(), "id-alice")
			oauthtest.Must(w.T, err)
		}, 401},
		"grant revoked": {func(w *oauthtest.World, token, _ string) { w.Post(w.Revoke(), "app", "token", token) }, 401},
		"agent disabled": {func(w *oauthtest.World, _, _ string) {
			oauthtest.Must(w.T, w.DB.SetClientDisabled(w.T.Context(), "next", true))
		}, 200},
		"revoked by the agent": {func(w *oauthtest.World, _, exchanged string) {
			if r := w.Post(w.Revoke(), "next", "token", exchanged); r.Status != 200 {
				w.T.Error(r.Body)
			}
		}, 200},
	} {
		t.Run(what, func(t *testing.T) {
			each(t, func(t *testing.T, w *oauthtest.World) {
				token := w.Exchange("app", w.Code("app", nil)).Access
				got := exchanges(w, "next", token).Access
				for range 2 {
					if w.Status(got) != 200 || !w.Post(w.Introspect(), "api", "token", got).Active {
						t.Fatal("not active")
					}
				}
				c.end(w, token, got)
				if code := w.Status(got); code != 401 {
					t.Errorf("exchanged token: %d", code)
				}
				if r := w.Post(w.Introspect(), "api", "token", got); r.Active {
					t.Errorf("introspection: %s", r.Body)
				}
				if code := w.Status(token); code != c.grant {
					t.Errorf("user's token: %d", code)
				}
			})
		})
	}
}
