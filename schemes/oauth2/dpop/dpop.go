// Package dpop verifies DPoP proofs (RFC 9449). A client that sends a proof proves that it holds a
// key. A token that is bound to this key is useless to an attacker who has only the token.
//
// Create one [Verifier] and pass it to the scheme that accepts tokens:
//
//	proofs, err := dpop.New("https://auth.example", db, nil)
//	api, err := oauth2.New("https://auth.example", db, &oauth2.Options{DPoP: proofs})
//
// An authorization server over that scheme then issues tokens of type DPoP to clients that send a
// proof with their token request. Import this package only to create the Verifier, or to check
// proofs at your own endpoint.
//
// Limits: a proof is accepted once, within one minute of its creation. Its key must be for ES256,
// EdDSA, PS256 or RS256. A proof costs one signature verification and one write.
package dpop

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// window is how long before or after now a proof may have been created.
	window = time.Minute
	// maxProof is the maximum length of a proof, in bytes.
	maxProof = 8 << 10
)

// Options configure a [Verifier]. A nil *Options means all defaults.
type Options struct {
	// Nonces enables nonces (RFC 9449, section 8). The keys of the ring authenticate them. A proof
	// is then valid for at most 5 minutes after this server issued its nonce, so a client cannot
	// create proofs in advance. All replicas must use the same key ring. Nil means that proofs need
	// no nonce.
	Nonces *keys.Ring
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
}

// Verifier verifies proofs. It is safe for concurrent use.
type Verifier struct {
	issuer string
	uses   storage.Replays
	nonces *keys.Ring // nil without nonces
	clock  func() time.Time
	algs   []jose.Algorithm
}

// WithoutRS256 returns a Verifier that also rejects proofs signed by RS256, as FAPI 2.0 requires
// (section 5.4.1).
func (v *Verifier) WithoutRS256() *Verifier {
	c := *v
	c.algs = slices.DeleteFunc(slices.Clone(v.algs), func(alg jose.Algorithm) bool { return alg == jose.RS256 })
	return &c
}

// Algorithms returns the signature algorithms of accepted proofs.
func (v *Verifier) Algorithms() []jose.Algorithm { return slices.Clone(v.algs) }

// New returns a Verifier. issuer is the identifier of the authorization server, which is part of
// each nonce. The argument uses is the store that records used proofs; all replicas must use the
// same store. New returns an error if issuer is "" or uses is nil.
func New(issuer string, uses storage.Replays, opts *Options) (*Verifier, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if issuer == "" || uses == nil {
		return nil, errors.New("dpop: New: issuer and uses are required")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Verifier{issuer, uses, o.Nonces, o.Clock, Algorithms()}, nil
}

// Algorithms returns the signature algorithms for proofs and client assertions. None of them uses a
// shared secret, so a public key can never be used as a secret.
func Algorithms() []jose.Algorithm {
	return []jose.Algorithm{jose.ES256, jose.EdDSA, jose.PS256, jose.RS256}
}

// Error is a rejected proof.
type Error struct {
	// Code is "invalid_dpop_proof" or "use_dpop_nonce".
	Code  string
	cause error
}

// Error returns the code and the private cause.
func (e *Error) Error() string { return e.Code + ": " + e.cause.Error() }

// Unwrap returns the private cause.
func (e *Error) Unwrap() error { return e.cause }

// Description returns the text for the client.
func (e *Error) Description() string {
	if e.Code == codeNonce {
		return "The DPoP proof needs a nonce of this server."
	}
	return "The DPoP proof is missing or invalid."
}

const (
	codeProof = "invalid_dpop_proof"
	codeNonce = "use_dpop_nonce"
)

// Invalid returns an Error with the code invalid_dpop_proof and a private cause.
func Invalid(cause string) *Error { return &Error{codeProof, errors.New(cause)} }

// now returns the current time in the precision of stores.
func (v *Verifier) now() time.Time { return v.clock().UTC().Truncate(time.Microsecond) }

// Check returns the same as [Verifier.Verify], but does not consume the proof.
func (v *Verifier) Check(ctx context.Context, p Proof) error {
	if err := p.Verify(); err != nil || p.Key == "" {
		return err
	}
	used, err := v.uses.Used(ctx, p.use())
	if err == nil && used {
		return Invalid("used before")
	}
	return err
}

// use returns the key under which the use of a proof is recorded.
func (p Proof) use() storage.BlockKey { return storage.BlockKeyOf(storage.ReplayProof, p.Key, p.id) }

// Verify verifies the signature of a proof and consumes the proof. It accepts the zero Proof. A
// rejected proof is an *Error; any other error is a store failure.
func (v *Verifier) Verify(ctx context.Context, p Proof) error {
	if err := p.Verify(); err != nil || p.Key == "" {
		return err
	}
	// The record has 32 bytes, whatever the proof contains. It is kept a little longer than the
	// proof is valid, because the clocks of replicas differ.
	err := v.uses.ConsumeJTI(ctx, p.use(), v.now(), p.at.Add(2*window))
	if errors.Is(err, storage.ErrConflict) {
		return Invalid("used before")
	}
	return err
}
