package openid_test

import (
	"context"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// opening knows whether a transaction is open.
type opening struct {
	oauthtest.Store
	open bool
}

func (o *opening) InTx(ctx context.Context, f func(context.Context) error) error {
	was := o.open
	o.open = true
	defer func() { o.open = was }()
	return o.Store.InTx(ctx, f)
}

// loaded are keys that come from the store: the first use of them after forget loads them.
type loaded struct {
	*jose.KeySet
	store        *opening
	held, inside bool
}

func (k *loaded) forget() { k.held, k.inside = false, false }

func (k *loaded) load() {
	if !k.held {
		k.held, k.inside = true, k.store.open
	}
}

func (k *loaded) JWKS(ctx context.Context) ([]byte, error) {
	k.load()
	return k.KeySet.JWKS(ctx)
}

func (k *loaded) Sign(ctx context.Context, typ string, payload []byte) (string, error) {
	k.load()
	return k.KeySet.Sign(ctx, typ, payload)
}

// An application's claims and a load of keys hold no lock of the store: a slow directory would stop
// everybody's writes, and a load that waits for the store would wait for itself.
func TestNothingWaitsWithinATransaction_attack_382(t *testing.T) {
	s := &opening{Store: memory.New(nil)}
	keys := &loaded{store: s}
	asked := 0
	for name, signed := range map[string]bool{"ID token": false, "ID token and signed access token": true} {
		t.Run(name, func(t *testing.T) {
			s.Store = memory.New(nil)
			p := oauthtest.NewProvider(t, s, jose.ES256, func(o *oauthtest.Options) {
				keys.KeySet = o.SigningKeys.(*oauthtest.DownKeys).KeySet
				o.SigningKeys = keys
				if signed {
					o.SignedAccess = true
				}
				o.OpenID.Claims = func(context.Context, storage.User, []string) (map[string]any, error) {
					asked++
					if s.open {
						t.Error("the claims of a user are asked for within a transaction")
					}
					return map[string]any{"department": "x"}, nil
				}
			})
			check := func(what, id string) {
				t.Helper()
				if asked != 1 || keys.inside || p.ClaimsOf(id, "JWT")["department"] != "x" {
					t.Errorf("%s: asked %d times, keys loaded within a transaction: %t, ID token %q", what, asked, keys.inside, id)
				}
				asked = 0
				keys.forget()
			}
			keys.forget()
			asked = 0
			got, id := p.Login("s1")
			check("exchange", id)
			check("refresh", oauthtest.IdTokenOf(p.Refreshes("app", got.Refresh)))
			if again := p.Refreshes("app", got.Refresh); again.Status != 200 || asked != 0 {
				t.Errorf("a repetition: %d, asked %d times", again.Status, asked)
			}
		})
	}
}
