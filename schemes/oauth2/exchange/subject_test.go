package exchange_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/exchange"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Only a valid access token of the same server can be exchanged. All other tokens get the same
// response.
func TestSubjectTokens(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.EdDSA, func(o *oauthtest.Options) { o.Exchange, o.SignedAccess = true, true })
	addClients(t, p.World)
	w := p.World
	login, idToken := p.Login("s-1")
	foreign := oauthtest.NewProvider(t, memory.New(nil), jose.EdDSA, func(o *oauthtest.Options) { o.SignedAccess = true })
	short := w.Exchange("app", w.Code("app", nil)).Access
	for what, token := range map[string]string{
		"ID token": idToken, "refresh token": login.Refresh, "token of another server": foreign.Exchange("app", foreign.Code("app", nil)).Access,
		"no token at all": "x", "cut": short[:len(short)-2], "very long": short + strings.Repeat("x", 9000),
	} {
		r := exchanges(w, "next", token)
		if r.Status != 400 || r.Error != "invalid_request" || !strings.Contains(r.Body, "The subject_token is invalid, expired, revoked, or not for this client.") {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	for what, pairs := range map[string][]string{
		"no type":              {"subject_token", short},
		"no token":             {"subject_token_type", exchange.TokenType},
		"type of ID tokens":    {"subject_token", short, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"},
		"refresh token wanted": {"subject_token", short, "subject_token_type", exchange.TokenType, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"},
		"type of an actor":     {"subject_token", short, "subject_token_type", exchange.TokenType, "actor_token_type", exchange.TokenType},
		"token twice":          {"subject_token", short, "subject_token", short, "subject_token_type", exchange.TokenType},
	} {
		if r := w.Post(w.Token(), "next", append([]string{"grant_type", oauth2.TokenExchange}, pairs...)...); r.Status != 400 || r.Error != "invalid_request" {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	if r := exchanges(w, "next", short, "requested_token_type", exchange.TokenType); r.Status != 200 {
		t.Errorf("named type: %s", r.Body)
	}
	w.Pass(2 * time.Hour)
	if r := exchanges(w, "next", short); r.Status != 400 || r.Error != "invalid_request" {
		t.Errorf("expired: %d %s", r.Status, r.Body)
	}
}

// A token of another client, for an API that the exchanger does not serve, is rejected, and the
// rejection is an event. The right to request tokens for the API changes nothing.
func TestOtherClientsTokens(t *testing.T) {
	each(t, func(t *testing.T, w *oauthtest.World) {
		c, err := w.DB.ClientByID(t.Context(), "next")
		oauthtest.Must(t, err)
		c.Serves, c.Resources = nil, []string{audience, billing}
		oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
		token := w.Exchange("app", w.Code("app", nil)).Access
		w.Events()
		r := exchanges(w, "next", token)
		if r.Status != 400 || r.Error != "invalid_request" {
			t.Errorf("%d %s", r.Status, r.Body)
		}
		if !slices.ContainsFunc(w.Events(), func(e audit.Event) bool {
			return e.Kind == audit.CredentialRejected && e.Reason == "other_client" && e.Client == "next" && e.Subject == "id-alice"
		}) {
			t.Error("no event")
		}
	})
}

// An exchanged token keeps the time of the login and never outlives the token it was issued for.
// Without a scope in common there is none.
func TestExchangedTokensHaveLess_attack_498(t *testing.T) {
	each(t, func(t *testing.T, w *oauthtest.World) {
		login := w.Clock().Add(-time.Hour).Truncate(time.Second)
		token := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.AuthTime, c.Scopes = login, []string{"read", "write"} }))
		w.Pass(time.Duration(token.Expires)*time.Second - 2*time.Minute)
		got := exchanges(w, "next", token.Access)
		id, err := w.Identity(got.Access)
		if err != nil || !id.AuthTime.Equal(login) || got.Expires > 120 || got.Expires < 118 || got.Scope != "read" {
			t.Fatalf("%s: %+v, %v", got.Body, id, err)
		}
		w.Pass(2*time.Minute + time.Second) // signed tokens expire at whole seconds
		if w.Status(got.Access) != 401 || w.Status(token.Access) != 401 {
			t.Error("outlives the user's token")
		}
		only := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Scopes = []string{"write"} })).Access
		for _, pairs := range [][]string{nil, {"scope", "read"}, {"scope", "write"}} {
			if r := exchanges(w, "next", only, pairs...); r.Status != 400 || r.Error != "invalid_scope" {
				t.Errorf("%v: %d %s", pairs, r.Status, r.Body)
			}
		}
	})
}

// A bound token needs a proof: of the same key by its own client, of any key by a resource server.
// The new token is bound to that key.
func TestBoundTokens(t *testing.T) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			p := oauthtest.NewProvider(t, memory.New(nil), jose.EdDSA, func(o *oauthtest.Options) {
				oauthtest.WithDPoP(o)
				o.DPoP.Origin = "https://api.example"
				o.Exchange, o.SignedAccess = true, signed
			})
			w := p.World
			addClients(t, w)
			c, err := w.DB.ClientByID(t.Context(), "app")
			oauthtest.Must(t, err)
			c.Grants = append(c.Grants, oauth2.TokenExchange)
			oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
			user, agent := w.NewProver(), w.NewProver()
			token := user.Exchange("app", w.Code("app", nil)).Access
			by := func(client string, key *oauthtest.Prover) oauthtest.Reply {
				var proofs []string
				if key != nil {
					proofs = append(proofs, key.Proof("POST", oauthtest.TokenURL, nil))
				}
				return w.PostWith(w.Token(), client, proofs, "grant_type", oauth2.TokenExchange, "subject_token", token, "subject_token_type", exchange.TokenType)
			}
			if r := by("next", nil); r.Status != 400 || r.Error != "invalid_dpop_proof" {
				t.Errorf("without a proof: %d %s", r.Status, r.Body)
			}
			if r := by("app", agent); r.Status != 400 || r.Error != "invalid_request" {
				t.Errorf("own client, another key: %d %s", r.Status, r.Body)
			}
			for client, key := range map[string]*oauthtest.Prover{"next": agent, "app": user} {
				r := by(client, key)
				if r.Status != 200 || r.Type != "DPoP" {
					t.Fatalf("%s: %d %s", client, r.Status, r.Body)
				}
				if rec := w.Calls("DPoP", r.Access, key.At(r.Access, nil)); rec.Code != 200 {
					t.Errorf("%s: at the API: %d", client, rec.Code)
				}
				if w.Status(r.Access) != 401 {
					t.Errorf("%s: accepted as a bearer token", client)
				}
			}
			if r := by("next", agent); w.Calls("DPoP", r.Access, user.At(r.Access, nil)).Code != 401 {
				t.Error("accepted with the user's key")
			}
		})
	}
}

// The metadata lists the grant type, if the server has it. A server without it rejects it, and it
// cannot be added twice or to nothing.
func TestAdd(t *testing.T) {
	w := newWorld(t, memory.New(nil), false)
	if r := w.Send(w.Metadata(), get("/.well-known/oauth-authorization-server"), ""); !strings.Contains(r.Body, oauth2.TokenExchange) {
		t.Errorf("metadata: %s", r.Body)
	}
	without := oauthtest.NewProvider(t, memory.New(nil), jose.EdDSA, nil).World
	addClients(t, without)
	if r := without.Send(without.Metadata(), get("/.well-known/oauth-authorization-server"), ""); strings.Contains(r.Body, oauth2.TokenExchange) {
		t.Errorf("metadata without the package: %s", r.Body)
	}
	if r := exchanges(without, "next", without.Exchange("app", without.Code("app", nil)).Access); r.Error != "unsupported_grant_type" {
		t.Errorf("without the package: %s", r.Body)
	}
	if exchange.Add(w.Server.Server) == nil || exchange.Add(nil) == nil {
		t.Error("added twice, or to nothing")
	}
	for _, name := range []string{"", oauth2.RefreshToken, oauth2.DeviceCode} {
		if without.Extend(server.Extension{Grants: map[string]server.GrantHandler{name: nil}}) == nil {
			t.Errorf("grant type %q replaced", name)
		}
	}
}

// The user allowed a client to use one API. The client must not get a token for another one without
// the user's consent, although its record may name that API.
func TestOwnClientKeepsToTheGrant_attack_509(t *testing.T) {
	w := newWorld(t, memory.New(nil), false)
	c, err := w.DB.ClientByID(t.Context(), "last")
	oauthtest.Must(t, err)
	c.Serves, c.Resources, c.RedirectURIs = nil, []string{billing}, []string{oauthtest.Redirect}
	c.Grants = []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.TokenExchange}
	oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
	token := w.Exchange("last", w.Code("last", nil)).Access
	if r := exchanges(w, "last", token, "resource", billing); r.Status != 400 || r.Error != "invalid_target" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := exchanges(w, "last", token); r.Status != 200 {
		t.Errorf("narrowing its own token: %d %s", r.Status, r.Body)
	}
}
