package cookie_test

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/cookie"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

type twoKeywords struct{ *token.Scheme }

func (twoKeywords) Formats() []authn.CredentialFormat {
	return []authn.CredentialFormat{{Keyword: "Acme", Format: "a"}, {Keyword: "Token", Format: "b"}}
}

func bearers() *cookie.Options { return &cookie.Options{Keyword: "Bearer"} }

// Without Options.Keyword, the keyword is the one that the wrapped scheme reads.
func TestKeywordOfTheScheme(t *testing.T) {
	db := memory.New(nil)
	must(t, db.CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true}))
	ring, err := keys.NewRing(keys.Generate())
	must(t, err)
	tokens, err := token.New(db, ring, nil)
	must(t, err)
	epoch, err := tokens.CurrentEpoch(t.Context(), "id-alice")
	must(t, err)
	text, err := tokens.GetOrCreate(t.Context(), "id-alice", epoch)
	must(t, err)
	devices, err := knox.New(db, nil)
	must(t, err)
	for what, inner := range map[string]authn.Authenticator{"alone": tokens, "decorated": unwrapped{tokens}, "a chain": authn.Chain{tokens}, "a keyword in common": authn.Chain{authn.Chain{devices}, tokens}} {
		pages, err := cookie.New("access", newSite(t), inner, nil)
		must(t, err)
		if id, err := pages.Authenticate(request("GET", "Cookie: __Host-access="+text)); err != nil || id.Subject != "id-alice" {
			t.Errorf("%s: %+v, %v", what, id, err)
		}
	}
	password, err := basic.New(anyPassword{}, nil)
	must(t, err)
	for what, inner := range map[string]authn.Authenticator{
		"no formats": authn.Func(bearer), "no common keyword": authn.Chain{tokens, password}, "one of two has formats": authn.Chain{tokens, authn.Func(bearer)},
		"two keywords": twoKeywords{tokens},
	} {
		if s, err := cookie.New("access", newSite(t), inner, nil); s != nil || err == nil || !strings.Contains(err.Error(), "Options.Keyword") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := cookie.New("access", newSite(t), inner, &cookie.Options{Keyword: "Token"}); err != nil {
			t.Errorf("%s, with a keyword: %v", what, err)
		}
	}
}
