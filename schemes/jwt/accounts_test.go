package jwt_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/link"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// linked runs f with a verifier whose users have accounts, over every store and a cache of it.
func linked(t *testing.T, f func(t *testing.T, s link.Store, accounts storagetest.Store)) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		t.Run("direct", func(t *testing.T) { f(t, s, s) })
	})
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		t.Run("cached", func(t *testing.T) {
			c, err := cached.New(s.(cached.Base), &cached.Options{TTL: time.Hour})
			schemetest.Must(t, err)
			f(t, c, c)
		})
	})
}

// A token of another issuer acts for the account of its user, with the roles of the account, until the
// account is logged out, disabled or unlinked. The response is kept, so each change must reach it.
func TestAccountsOfAnotherIssuer(t *testing.T) {
	linked(t, func(t *testing.T, ls link.Store, s storagetest.Store) {
		schemetest.Add(t, s, "alice")
		schemetest.Add(t, s, "bob")
		schemetest.Must(t, s.SetRoles(t.Context(), "id-alice", "staff"))
		dir, err := link.New(ls, nil)
		schemetest.Must(t, err)
		now := time.Now() // epochs come from the clock of the database
		ring, other := ringOf(t, jose.EdDSA), ringOf(t, jose.EdDSA)
		clock := func() time.Time { return now }
		opts := jwt.VerifierOptions{Accounts: dir, FirstPartyClients: []string{"app"}, Clock: clock}
		v := verifierFor(t, idp, audience, ring, opts)
		second := verifierFor(t, "https://other.example", audience, other, opts)
		m := authn.New(authn.Chain{v, second}, &authn.Options{Logger: schemetest.Quiet})
		token := func(ring *jose.KeySet, issued time.Time, change claims) string {
			c := claims{"iat": issued.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": fmt.Sprint(issued.Unix())}
			for k, v := range change {
				c[k] = v
			}
			return foreign(t, ring, c)
		}
		is := func(what, token, want string) {
			t.Helper()
			for range 2 {
				ctx, err := m.Authenticate(bearer(token))
				id := authn.FromContext(ctx)
				got := id.Issuer + id.Subject + fmt.Sprint(id.Roles)
				var refused *authn.Error
				if errors.As(err, &refused) && refused.Status == 401 {
					got = "401"
				} else if err != nil {
					got = err.Error()
				}
				if got != want {
					t.Errorf("%s: %s, %v; want %s", what, got, err, want)
				}
			}
		}
		first := claims{"scope": nil}
		old := token(ring, now.Add(-5*time.Minute), first)
		is("without a link", old, "401")
		epoch, err := s.SubjectEpoch(t.Context(), "id-alice")
		schemetest.Must(t, err)
		l, err := dir.Link(t.Context(), "id-alice", epoch, idp, "user-7")
		schemetest.Must(t, err)
		_, err = dir.Link(t.Context(), "id-bob", epoch, "https://other.example", "user-7")
		schemetest.Must(t, err)
		is("linked", old, "id-alice[staff]")
		is("the same subject of another issuer", token(other, now, claims{"iss": "https://other.example", "scope": nil}), "id-bob[staff]")
		is("limited by scopes", token(ring, now.Add(-time.Second), nil), "id-alice[]")
		is("a machine", token(ring, now, claims{"sub": "app"}), idp+"[]")
		is("without iat", token(ring, now, claims{"scope": nil, "iat": nil}), "401")

		// The identity is one of this application, and manages the account's credentials if it is not limited.
		ctx, err := m.Authenticate(bearer(old))
		schemetest.Must(t, err)
		id := authn.FromContext(ctx)
		if a, ok := id.User.(*storage.Account); !ok || a.ID != "id-alice" || login.FirstPartyOf(id, s) != nil {
			t.Errorf("%+v", id)
		}
		if login.FirstPartyOf(id, memory.New(nil)) == nil {
			t.Error("an account of another store")
		}
		ctx, err = m.Authenticate(bearer(token(ring, now.Add(-time.Second), nil)))
		schemetest.Must(t, err)
		if login.FirstPartyOf(authn.FromContext(ctx), s) == nil {
			t.Error("a limited token manages credentials")
		}

		schemetest.Must(t, s.SetRoles(t.Context(), "id-alice", "staff", "admin"))
		is("another role", old, "id-alice[staff admin]")
		_, err = s.BumpEpoch(t.Context(), "id-alice")
		schemetest.Must(t, err)
		is("attack_log_out_everywhere", old, "401")
		at := token(ring, now.Add(time.Second), first)
		is("issued within the leeway", at, "401") // the issuer's clock may be ahead
		now = now.Add(jwt.DefaultLeeway + 30*time.Second)
		is("the same token later", at, "401")
		again := token(ring, now, first)
		is("after a new login", again, "id-alice[staff admin]")
		schemetest.Must(t, s.SetActive(t.Context(), "id-alice", false))
		is("disabled", again, "401")
		schemetest.Must(t, s.SetActive(t.Context(), "id-alice", true))
		now = now.Add(10 * time.Minute)
		again = token(ring, now, first)
		is("after a third login", again, "id-alice[staff admin]")
		schemetest.Must(t, dir.Unlink(t.Context(), "id-alice", l.ID))
		is("unlinked", again, "401")
	})
}

// A store that fails is a fault, never a rejection.
func TestAccountsThatCannotBeRead(t *testing.T) {
	s := memory.New(nil)
	ring := ringOf(t, jose.EdDSA)
	dir, err := link.New(s, &link.Options{First: func(context.Context, link.Person) (link.Decision, error) { return link.Decision{}, errors.New("down") }})
	schemetest.Must(t, err)
	v := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Accounts: dir})
	if got := statusOf(v, foreign(t, ring, nil)); got != 503 {
		t.Error(got)
	}
}

func TestOptionsBesideAccounts(t *testing.T) {
	dir, err := link.New(memory.New(nil), nil)
	schemetest.Must(t, err)
	ring := ringOf(t, jose.EdDSA)
	for name, o := range map[string]jwt.VerifierOptions{
		"own":   {OwnIssuer: true},
		"user":  {User: func(context.Context, *jwt.Access) (authn.User, error) { return nil, nil }},
		"roles": {Roles: []string{"roles"}},
	} {
		o.Accounts = dir
		if _, err := jwt.NewVerifier(idp, audience, ring, &o); err == nil {
			t.Error(name)
		}
	}
}

// A user of the issuer chooses the text of another user's "sub" as the value of the claim that the
// verifier reads. The link of that "sub" is not the chooser's.
func TestLinksOfAnotherClaim_attack_508(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	dir, err := link.New(s, nil)
	schemetest.Must(t, err)
	epoch, err := s.SubjectEpoch(t.Context(), "id-alice")
	schemetest.Must(t, err)
	_, err = dir.Link(t.Context(), "id-alice", epoch, idp, "sub-of-alice")
	schemetest.Must(t, err)
	ring := ringOf(t, jose.EdDSA)
	now := time.Now()
	v := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Accounts: dir, FirstPartyClients: []string{"app"}, SubjectClaim: "preferred_username", Clock: func() time.Time { return now }})
	chosen := claims{"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": nil, "sub": "mallory", "preferred_username": "sub-of-alice"}
	if id, err := v.Authenticate(bearer(foreign(t, ring, chosen))); err == nil {
		t.Errorf("mallory is %q", id.Subject)
	}
	_, err = dir.Link(t.Context(), "id-alice", epoch, idp+"#preferred_username", "alice@work")
	schemetest.Must(t, err)
	chosen["preferred_username"] = "alice@work"
	if id, err := v.Authenticate(bearer(foreign(t, ring, chosen))); err != nil || id.Subject != "id-alice" {
		t.Errorf("linked by that claim: %q, %v", id.Subject, err)
	}
}
