package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// assertionType is the accepted type of assertions (RFC 7523, section 2.2).
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// assertionTTL is how far in the future an assertion may expire. assertionLeeway is the allowed
	// difference between clocks.
	assertionTTL    = 5 * time.Minute
	assertionLeeway = 30 * time.Second
)

// asserted reads a client's assertion (RFC 7523, section 2.2). It checks only that there are no
// other credentials; assertionFits verifies the assertion.
func asserted(f oauth2.Form, withHeader bool) (presented, error) {
	fail := func(why string) (presented, error) { return presented{}, errClient.WithCause(errors.New(why)) }
	switch {
	case f.Get("client_assertion_type") != assertionType:
		return fail("a client assertion of another type")
	case withHeader || f.Values.Has("client_secret"):
		return fail("a client assertion beside other credentials")
	}
	t, err := jose.Decode(f.Get("client_assertion"))
	if err != nil {
		return presented{}, errClient.WithCause(err)
	}
	who, err := t.Claims.Registered()
	if err != nil || who.Subject == "" || f.Values.Has("client_id") && f.Get("client_id") != who.Subject {
		return fail("a client assertion without a client, or for another one")
	}
	return presented{id: who.Subject, method: oauth2.PrivateKeyJWT, assertion: t}, nil
}

// assertionFits returns an error unless the client created the assertion for this server, recently
// and for this request only. An error that is neither a jose.ErrInvalid nor errUsed is a server
// error.
//
// "aud" must be the issuer and nothing else. The address of the token endpoint is not accepted: an
// attacker could make a client use another server's address there, and then use the assertion that
// the client created for that server. With FAPI2 it must be a string and not a list of one (FAPI
// 2.0 Security Profile, section 5.3.2.1).
func (s *Server) assertionFits(ctx context.Context, c storage.Client, t *jose.Token) error {
	refused := func(why string) error { return fmt.Errorf("%w: %s", jose.ErrInvalid, why) }
	// c is the client that "sub" names. The signature is verified last because it costs most.
	r, err := jose.Checks{Issuer: c.ID, Audience: s.issuer, Leeway: assertionLeeway, Clock: s.apiOpts.Clock}.Check(t.Claims)
	_, single := t.Claims.Text("aud")
	switch {
	case err != nil:
		return err
	case s.opts.FAPI2 && !single:
		return refused("the audience is a list")
	case !slices.Equal(r.Audience, []string{s.issuer}):
		return refused("for others too")
	case r.Expires.After(s.now().Add(assertionTTL + assertionLeeway)):
		return refused("valid for too long")
	}
	list, err := s.clientKeys(ctx, c, t.Header.KeyID)
	if isLimited(err) {
		return err
	}
	if err != nil || len(list) == 0 {
		return refused("the client has no such key, or its keys cannot be fetched")
	}
	ring, err := jose.NewKeySet(list...)
	if err != nil {
		return refused("the client's keys cannot be used")
	}
	if err := t.VerifyUntyped(ctx, ring, "JWT", "client-authentication+jwt"); err != nil {
		return err
	}
	if err := s.admitNote(ctx, c); err != nil {
		return err
	}
	return s.firstUse(ctx, storage.BlockKeyOf(storage.ReplayAssertion, c.ID, r.ID), r.Expires.Add(2*assertionLeeway))
}

// assertionAlgorithms returns the signature algorithms of accepted assertions.
func (s *Server) assertionAlgorithms() []jose.Algorithm {
	return slices.DeleteFunc(dpop.Algorithms(), func(alg jose.Algorithm) bool { return s.opts.FAPI2 && alg == jose.RS256 })
}

// errUsed rejects an assertion that was used before.
var errUsed = errors.New("used before")

func (s *Server) firstUse(ctx context.Context, key storage.BlockKey, until time.Time) error {
	err := s.store.ConsumeJTI(ctx, key, s.now(), until)
	if errors.Is(err, storage.ErrConflict) {
		return errUsed
	}
	return err
}
