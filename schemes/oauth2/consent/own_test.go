package consent_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// spaced is a store with a space.
type spaced struct {
	server.Store
	space string
}

func (s spaced) Space() string { return s.space }

// An account of another table that has the ID of a user sees and revokes none of the user's grants.
func TestGrantsOfAnotherTable_attack_528(t *testing.T) {
	for name, x := range map[string]struct {
		space string
		opts  *consent.Options
		mine  string
		other authn.Identity
	}{
		"space": {"staff", nil, "staff:1", authn.Identity{Subject: "shop:1", Scheme: "token"}},
		"plain": {"staff", nil, "staff:1", authn.Identity{Subject: "1", Scheme: "token"}},
		"own":   {"", &consent.Options{Own: func(id authn.Identity) bool { return id.Scheme == "session" }}, "1", authn.Identity{Subject: "1", Scheme: "token"}},
		"both":  {"staff", &consent.Options{Own: func(authn.Identity) bool { return true }}, "staff:1", authn.Identity{Subject: "shop:1", Scheme: "token"}},
		"panic": {"", &consent.Options{Own: func(id authn.Identity) bool {
			if id.Scheme == "session" {
				return true
			}
			panic("x")
		}}, "1", authn.Identity{Subject: "1", Scheme: "token"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := oauthtest.NewWorld(t, memory.New(nil), nil)
			store := spaced{w.DB, x.space}
			api, err := oauth2.New(oauthtest.Issuer, store, nil)
			oauthtest.Must(t, err)
			srv, err := server.New(api, store, nil)
			oauthtest.Must(t, err)
			pages, err := consent.New(srv, server.Sessions{Of: func(authn.Identity) (string, int64, bool) { return "", 0, false }}, "/login", x.opts)
			oauthtest.Must(t, err)
			refused := 403
			if name == "panic" {
				refused = 500
			}
			for _, c := range []struct {
				id           authn.Identity
				list, revoke int
			}{{authn.Identity{Subject: x.mine, Scheme: "session"}, 200, 404}, {x.other, refused, refused}} {
				if rec := w.Behind(pages.Grants(), &c.id, "GET", "/grants", ""); rec.Code != c.list {
					t.Errorf("%s lists: %d %s", c.id.Subject, rec.Code, rec.Body)
				}
				if rec := w.Behind(pages.RevokeGrant(), &c.id, "DELETE", "/grants/x", ""); rec.Code != c.revoke {
					t.Errorf("%s revokes: %d %s", c.id.Subject, rec.Code, rec.Body)
				}
			}
		})
	}
}
