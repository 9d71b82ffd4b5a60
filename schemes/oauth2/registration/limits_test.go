package registration_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A client that registered itself proved nothing by its secret: its pending records are counted
// with those of all others.
func TestRegisteredPending(t *testing.T) {
	t.Run("edge_A13/registered", func(t *testing.T) {
		s := memory.New(nil)
		const most = 64
		w := oauthtest.NewDevices(t, s, func(o *oauthtest.Options) { oauthtest.WithLimits(o); o.Limits = &oauthtest.Limits{MaxPending: most} })
		form := "response_type=code&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&code_challenge_method=S256&code_challenge=" + oauthtest.ChallengeOf(oauthtest.Verifier)
		pushed := 0
		for n := range 20 {
			got := w.From(oauthtest.Address(n), w.Register(), `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"client_secret_post"}`, "Content-Type", "application/json")
			if got.Status != 201 {
				t.Fatalf("register: %d %s", got.Status, got.Body)
			}
			var c struct {
				ID     string `json:"client_id"`
				Secret string `json:"client_secret"`
			}
			oauthtest.Must(t, json.Unmarshal([]byte(got.Body), &c))
			for range most {
				got := w.From(oauthtest.Address(n), w.PushedAuthorization(), form+"&"+url.Values{"client_id": {c.ID}, "client_secret": {c.Secret}}.Encode())
				if got.Status == 201 {
					pushed++
				} else if got.Status != 429 {
					t.Fatalf("push: %d %s", got.Status, got.Body)
				}
			}
		}
		rows, err := any(s).(storage.Pruner).Prune(t.Context(), w.Clock().Add(time.Hour), 1<<20)
		oauthtest.Must(t, err)
		t.Logf("%d pushed, %d rows", pushed, rows)
		if pushed > most {
			t.Errorf("%d pushed requests of clients that registered themselves wait, more than %d", pushed, most)
		}
	})
}

// TestOwnTokensOfOneNetwork checks that one caller who registers many clients, and gets tokens for each of
// them, is limited by network: stored tokens fill the database, and signed ones cost a signature.
func TestOwnTokensOfOneNetwork(t *testing.T) {
	for name, signed := range map[string]bool{"attack_312/stored": false, "attack_312/signed": true} {
		t.Run(name, func(t *testing.T) {
			s := memory.New(nil)
			w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) {
				oauthtest.WithLimits(o)
				o.SignedAccess, o.SigningKeys = signed, oauthtest.FreshRing(t, jose.EdDSA)
			})
			got := map[int]int{}
			own := func(addr string, n int) int {
				secret, digest, err := oauth2.NewSecret()
				oauthtest.Must(t, err)
				c := storage.Client{ID: fmt.Sprint("own ", n), Method: oauth2.SecretPost, Secret: digest, Grants: []string{oauth2.ClientCredentials}, Registration: storage.DigestOf(fmt.Sprint(n))}
				oauthtest.Must(t, s.CreateClient(t.Context(), c))
				return w.From(addr, w.Token(), "grant_type=client_credentials&"+url.Values{"client_id": {c.ID}, "client_secret": {secret}}.Encode()).Status
			}
			for n := range 100 {
				got[own(oauthtest.Address(0), n)]++
			}
			if got[200] != 60 || got[429] != 40 {
				t.Errorf("100 clients at one address: %v, want 60 tokens and 40 times 429", got)
			}
			if status := own(oauthtest.Address(70_000), 100); status != 200 {
				t.Errorf("at another network: %d", status)
			}
		})
	}
}

// Each authentication by an assertion writes a note. A client that registered itself writes a
// bounded number of them.
func TestRegisteredNotes(t *testing.T) {
	t.Run("edge_A13/assertions", func(t *testing.T) {
		s := memory.New(nil)
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) { oauthtest.WithLimits(o); o.Limits = &oauthtest.Limits{MaxPending: 64} })
		ring := oauthtest.RingOf(t, "k", jose.EdDSA, oauthtest.Ed25519Key(t))
		w.Signer("signer", oauthtest.PublicSet(t, ring))
		c, err := s.ClientByID(t.Context(), "signer")
		oauthtest.Must(t, err)
		for what, x := range map[string]struct {
			registered, trusted bool
			want                int
		}{"itself": {true, false, 8}, "administrator": {false, false, 100}, "trusted": {true, true, 100}} {
			if c.Trusted, c.Registration = x.trusted, (storage.Digest{}); x.registered {
				c.Registration = storage.DigestOf("x")
			}
			oauthtest.Must(t, s.UpdateClient(t.Context(), c))
			if x.registered { // by another method, so that the notes do not count
				basic := c
				basic.ID, basic.Method, basic.Keys = "own "+what, oauth2.SecretPost, nil
				basic.Grants = []string{oauth2.ClientCredentials}
				var secret string
				secret, basic.Secret, err = oauth2.NewSecret()
				oauthtest.Must(t, err)
				oauthtest.Must(t, s.CreateClient(t.Context(), basic))
				counts := map[int]int{}
				for range 100 {
					counts[w.Post(w.Token(), "", "grant_type", "client_credentials", "client_id", basic.ID, "client_secret", secret).Status]++
				}
				if counts[200] != x.want || counts[200]+counts[429] != 100 {
					t.Errorf("tokens of its own, registered by %s: %v", what, counts)
				}
			}
			counts := map[int]int{}
			for range 100 {
				got := w.Post(w.Introspect(), "", "token", "x", "client_assertion_type", oauthtest.AssertionType, "client_assertion", w.Assertion(ring, "", "signer", nil))
				counts[got.Status]++
			}
			if counts[200] != x.want || counts[200]+counts[429] != 100 {
				t.Errorf("registered by %s: %v", what, counts)
			}
		}
	})
}
