package server_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// Two issuers over one store do not accept each other's access tokens, of users or of clients. Those
// that a version issued which did not name the issuer stay valid.
func TestTokensOfAnotherIssuer_attack_527(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		scheme := func(issuer string) *oauth2.Scheme {
			api, err := oauth2.New(issuer, s, &oauth2.Options{Audience: w.Scheme().Options().Audience, Clock: w.Clock})
			oauthtest.Must(t, err)
			return api
		}
		same, other := scheme(oauthtest.Issuer), scheme("https://other.example")
		accepts := func(api *oauth2.Scheme, token string) bool {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			_, err := api.Authenticate(r)
			return err == nil
		}
		for name, token := range map[string]string{
			"user": w.Exchange("spa", w.Code("spa", nil)).Access, "client": w.Post(w.Token(), "app", "grant_type", "client_credentials").Access,
		} {
			if token == "" || !accepts(same, token) || accepts(other, token) {
				t.Errorf("%s: %q is accepted by its issuer %t, by another %t", name, token, accepts(same, token), accepts(other, token))
			}
			if _, err := other.Lookup(t.Context(), token); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
			st, err := s.AccessByDigest(t.Context(), storage.DigestOf(token))
			oauthtest.Must(t, err)
			for i, id := range []string{"AAAAAAAAAAAAAAAAAAAAAA", "1", "a.b"} { // as earlier versions and imports name them
				old, digest := st.Access, fmt.Sprint(name, i)
				text := credential.MustFormat(oauth2.AccessPrefix).Encode([credential.Size]byte{byte(i)})
				old.ID, old.Digest = digest+id, storage.DigestOf(text)
				oauthtest.Must(t, s.CreateAccess(t.Context(), old))
				if !accepts(same, text) {
					t.Errorf("%s: a token with the ID %q is refused", name, old.ID)
				}
				oauthtest.Must(t, s.DeleteAccess(t.Context(), old.Digest))
			}
		}
		second, err := server.New(other, s, &server.Options{Scopes: map[string]string{"read": "", "write": ""}})
		oauthtest.Must(t, err)
		if list, _, err := second.Grants(t.Context(), "id-alice", storage.FamilyPlace{}, 10); err != nil || len(list) != 0 {
			t.Errorf("another issuer lists %d grants, %v", len(list), err)
		}
	})
}
