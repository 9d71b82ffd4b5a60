package oauth2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// assertionType is the one kind of assertion that is taken (RFC 7523 section 2.2).
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// assertionTTL is how far ahead an assertion may end, assertionLeeway how far clocks may
	// differ.
	assertionTTL    = 5 * time.Minute
	assertionLeeway = 30 * time.Second
)

// algorithms are those that a client's key may sign with: none of a shared secret, so no
// public key can be taken for one.
func algorithms() []jose.Algorithm {
	return []jose.Algorithm{jose.ES256, jose.EdDSA, jose.PS256, jose.RS256}
}

// checkKeys returns what is wrong with the keys that a client is to be registered with.
func checkKeys(c storage.Client) error {
	list, err := jose.ParseOfferedJWKS(c.Keys, algorithms()...)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New(`none of its keys is of use: want "kid", and ES256, EdDSA, PS256 or RS256, which RSA keys name as "alg"`)
	}
	return nil
}

// asserted reads a client's assertion (RFC 7523 section 2.2) and verifies nothing but that
// nothing else says who the client is.
func asserted(f form, withHeader bool) (presented, error) {
	fail := func(why string) (presented, error) { return presented{}, errClient.with(errors.New(why)) }
	switch {
	case f.get("client_assertion_type") != assertionType:
		return fail("a client assertion of another type")
	case withHeader || f.values.Has("client_secret"):
		return fail("a client assertion beside something else that authenticates")
	}
	t, err := jose.Decode(f.get("client_assertion"))
	if err != nil {
		return presented{}, errClient.with(err)
	}
	who, err := t.Claims.Registered()
	if err != nil || who.Subject == "" || f.values.Has("client_id") && f.get("client_id") != who.Subject {
		return fail("a client assertion of no client or of another one")
	}
	return presented{id: who.Subject, method: PrivateKeyJWT, assertion: t}, nil
}

// assertionFits returns why the assertion does not prove that the client made it for this
// server, just now and for this request alone. An error that is neither a jose.ErrInvalid nor
// errUsed is a fault.
//
// "aud" is the issuer and nothing else. The token endpoint's address does not do: who can tell
// a client another server's address could use there what the client made for that one.
func (s *Server) assertionFits(ctx context.Context, c storage.Client, t *jose.Token) error {
	refused := func(why string) error { return fmt.Errorf("%w: %s", jose.ErrInvalid, why) }
	// c is the client that "sub" names. The signature comes last: it costs most.
	r, err := jose.Checks{Issuer: c.ID, Audience: s.issuer, Leeway: assertionLeeway, Clock: s.opts.Clock}.Check(t.Claims)
	switch {
	case err != nil:
		return err
	case !slices.Equal(r.Audience, []string{s.issuer}):
		return refused("for others too")
	case r.Expires.After(s.now().Add(assertionTTL + assertionLeeway)):
		return refused("valid for too long")
	}
	list, err := jose.OfferedKey(c.Keys, t.Header.KeyID, algorithms()...)
	if err != nil || len(list) == 0 {
		return refused("the client has no such key")
	}
	ring, err := jose.NewRing(list...)
	if err != nil {
		return refused("the client's keys can not be used")
	}
	if err := t.VerifyUntyped(ctx, ring, "JWT", "client-authentication+jwt"); err != nil {
		return err
	}
	if err := s.admitNote(ctx, c); err != nil {
		return err
	}
	return s.firstUse(ctx, storage.BlockKeyOf(storage.ReplayAssertion, c.ID, r.ID), r.Expires.Add(2*assertionLeeway))
}

// errUsed refuses what was used before.
var errUsed = errors.New("used before")

func (s *Server) firstUse(ctx context.Context, key storage.BlockKey, until time.Time) error {
	err := s.store.FirstUse(ctx, key, s.now(), until)
	if errors.Is(err, storage.ErrConflict) {
		return errUsed
	}
	return err
}
