package consent_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// watchedKeys are keys that are not in memory: loading them may take long.
type watchedKeys struct {
	*jose.KeySet
	load func(context.Context) error
}

func (k *watchedKeys) JWKS(ctx context.Context) ([]byte, error) {
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	return k.KeySet.JWKS(ctx)
}

// What an implicit grant needs of the application and of the keys is asked for before the page's
// transaction, and a failure leaves the page to be answered again.
func TestImplicitAsksBefore(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		t.Run("attack_400_implicit", func(t *testing.T) {
			inTx, _ := s.(interface{ InTransaction(context.Context) bool })
			if inTx == nil {
				t.Fatalf("%T does not tell", s)
			}
			var fails error
			asked := map[string]int{}
			ask := func(what string) func(context.Context) error {
				return func(ctx context.Context) error {
					asked[what]++
					if inTx.InTransaction(ctx) {
						t.Errorf("%s: asked in a transaction", what)
					}
					return fails
				}
			}
			claims := ask("claims")
			w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) {
				oauthtest.WithSessions(o)
				o.InsecureImplicitGrant, o.Scopes["openid"] = true, ""
				o.SigningKeys = &watchedKeys{oauthtest.FreshRing(t, jose.ES256), ask("keys")}
				o.OpenID = &oauthtest.OpenID{InIDToken: []string{"name"}, Claims: func(ctx context.Context, _ storage.User, _ []string) (map[string]any, error) {
					return nil, claims(ctx)
				}}
			})
			c, err := s.ClientByID(t.Context(), "spa")
			oauthtest.Must(t, err)
			c.Grants, c.Scopes = append(c.Grants, oauth2.Implicit), append(c.Scopes, "openid")
			oauthtest.Must(t, s.UpdateClient(t.Context(), c))
			alice := w.Alice("s1")
			query := oauthtest.Query("spa", "response_type", "token", "scope", "openid read", "code_challenge", "", "code_challenge_method", "")
			handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", query, ""))
			body := "decision=allow&handle=" + url.QueryEscape(handle)
			fails = errors.New("down")
			if rec := w.Authorizes(alice, "POST", "", body); rec.Code != 503 {
				t.Errorf("a failing hook: %d %s", rec.Code, rec.Body)
			}
			fails = nil
			rec := w.Authorizes(alice, "POST", "", body)
			if rec.Code != 303 || !strings.Contains(rec.Header().Get("Location"), "access_token=vat_") {
				t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
			if asked["claims"] == 0 || asked["keys"] == 0 {
				t.Errorf("asked %v", asked)
			}
		})
	})
}
