package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Code is an authorization code: it represents the rights that a user granted to a client. It can
// be exchanged once (RFC 6749, section 4.1.2).
type Code struct {
	Digest  Digest
	Client  string
	Subject string
	// Epoch is the subject's epoch, read before the user was authenticated.
	Epoch int64
	// RedirectURI is the redirect URI of the request, byte for byte; "" if the request had none.
	RedirectURI      string
	Scopes, Resource []string
	// Challenge is the S256 challenge of PKCE (RFC 7636); "" if there is none.
	Challenge string
	// Nonce is the nonce of OpenID Connect. Confirm is the thumbprint of a DPoP key. "" means none.
	Nonce, Confirm string
	// Session is the login session in which the code was granted; "" if unknown.
	Session string
	// AuthTime is when the user logged in, ACR the authentication context class of that login, and
	// AMR its methods; see [Session].
	AuthTime time.Time
	ACR      string
	AMR      []string
	Created  time.Time
	// Expires is the time after which the code cannot be exchanged.
	Expires time.Time
	// Kept is the time until which the store keeps the code. ConsumeCode extends it, so that reuse
	// is detected.
	Kept time.Time
	// Used means that the code was exchanged or invalidated. Family is the family that was issued
	// for the code; "" if there is none.
	Used   bool
	Family string
}

// Check returns ErrInvalid, with the reason, if c cannot be stored.
func (c *Code) Check() error {
	var end error
	switch {
	case c.Digest.IsZero():
		end = fmt.Errorf("%w: code without a digest", ErrInvalid)
	case c.Expires.IsZero() || c.Kept.Before(c.Expires):
		end = fmt.Errorf("%w: code without an expiry, or Kept before Expires", ErrInvalid)
	case len(c.RedirectURI) > MaxScopesBytes || c.RedirectURI != "" && !plain(c.RedirectURI):
		end = fmt.Errorf("%w: redirect URI is too long or not a URI", ErrInvalid)
	}
	return errors.Join(end, CheckID("client", c.Client), CheckID("subject", c.Subject), checkScopes(c.Scopes), checkScopes(c.Resource),
		checkText("challenge", c.Challenge), checkText("nonce", c.Nonce), checkText("session", c.Session), checkText("confirmation", c.Confirm), checkMethods(c.ACR, c.AMR))
}

// Codes stores authorization codes.
type Codes interface {
	// CreateCode inserts c as unused. It returns ErrStale if the subject or the client is absent or
	// disabled, or if the subject's epoch is not c.Epoch. It returns ErrConflict if the digest
	// exists, and ErrInvalid if c.Check rejects c.
	CreateCode(ctx context.Context, c Code) error
	// CodeByDigest returns the code, even if it was used or has expired, and the account of its
	// subject with its current epoch. It returns ErrNotFound if either is absent.
	CodeByDigest(ctx context.Context, d Digest) (Code, User, error)
	// ConsumeCode marks the code as used and records the family for which it was exchanged (""
	// means none). If kept is later than Code.Kept, it sets Code.Kept to kept. So a code that is
	// never exchanged is stored for a shorter time. It returns ErrConflict if the code was used
	// before, and ErrNotFound if there is none. Of several concurrent calls, one succeeds. The
	// caller checks whether the code has expired.
	ConsumeCode(ctx context.Context, d Digest, family string, kept time.Time) error
	// DeleteCodes deletes the subject's unused codes for the client, if there are any. Used codes
	// stay, so that reuse is detected.
	DeleteCodes(ctx context.Context, subject, client string) error
}

// AccessToken is an opaque access token.
type AccessToken struct {
	Digest Digest
	// ID identifies the token in lists, events and the blocklist. It is random and not a secret.
	ID string
	// Family is the login or grant from which the token was issued; "" for a token that a client
	// got for itself.
	Family string
	Client string
	// Subject is the user; "" for a token that a client got for itself.
	Subject string
	// Epoch is the epoch of the family.
	Epoch int64
	// ClientRevoked is the value that Client.Revoked had when the client was authenticated, for a
	// token without a Family. CreateAccess compares it; stores do not keep it.
	ClientRevoked    time.Time
	Scopes, Resource []string
	// Actors are the clients that act for the subject with a token from a token exchange (RFC 8693),
	// the outermost one first: it is Client, and acts now. Empty for every other token.
	Actors []string
	// Confirm is the thumbprint of a DPoP key; "" for a bearer token.
	Confirm string
	// AuthTime, ACR and AMR are those of the family.
	AuthTime time.Time
	ACR      string
	AMR      []string
	Created  time.Time
	Expires  time.Time
}

// MaxActors is how many actors an access token can have.
const MaxActors = 3

// checkActors returns ErrInvalid if the actors of a token cannot be stored.
func (t *AccessToken) checkActors() error {
	switch {
	case len(t.Actors) == 0:
		return nil
	case len(t.Actors) > MaxActors || t.Actors[0] != t.Client || t.Subject == "":
		return fmt.Errorf("%w: access token with more than %d actors, with another client than the first actor, or with actors and no subject", ErrInvalid, MaxActors)
	}
	for _, name := range t.Actors {
		if err := CheckID("actor", name); err != nil {
			return err
		}
	}
	return nil
}

// Expired reports whether the token has expired at the given time.
func (t *AccessToken) Expired(now time.Time) bool { return !now.Before(t.Expires) }

// Check returns ErrInvalid, with the reason, if t cannot be stored.
func (t *AccessToken) Check() error {
	var end error
	switch {
	case t.Digest.IsZero() || t.Expires.IsZero():
		end = fmt.Errorf("%w: access token without a digest or an expiry", ErrInvalid)
	case (t.Subject == "") != (t.Family == ""):
		end = fmt.Errorf("%w: access token with only one of subject and family", ErrInvalid)
	case strings.Contains(t.Confirm, " "): // no thumbprint; stores may separate the actors from it by a space
		end = fmt.Errorf("%w: access token with a confirmation that contains a space", ErrInvalid)
	}
	return errors.Join(end, t.checkActors(), CheckID("token id", t.ID), CheckID("client", t.Client), checkText("subject", t.Subject), checkText("family", t.Family),
		checkScopes(t.Scopes), checkScopes(t.Resource), checkText("confirmation", t.Confirm), checkMethods(t.ACR, t.AMR))
}

// AccessState is an access token with everything that determines its validity, at one moment.
type AccessState struct {
	Access AccessToken
	// User is the token's subject with its current epoch; zero if there is no subject.
	User User
	// Ended means that its family was revoked or deleted, or that its client is disabled.
	Ended bool
}

// AccessTokens stores opaque access tokens, and the status of signed ones.
type AccessTokens interface {
	// AccessByDigest returns the token in one round trip, even if it was revoked or has expired. It
	// returns ErrNotFound if the token, its client, or the account of its subject is absent.
	AccessByDigest(ctx context.Context, d Digest) (AccessState, error)
	// CreateAccess inserts t. Errors:
	//
	//   - ErrStale: the client, the family or the subject is absent, disabled or revoked, or the
	//     subject's epoch is not t.Epoch. It is also returned for a token without a family if the
	//     client's Revoked is not t.ClientRevoked. So a client that authenticated before it was
	//     disabled gets no token after it is enabled again.
	//   - ErrConflict: a token with the digest or the ID exists already.
	//   - ErrInvalid: t.Check rejects t.
	CreateAccess(ctx context.Context, t AccessToken) error
	// SignedAccessStatus returns, in one round trip, what determines the validity of a signed
	// access token, which is not stored. TokenStatus.Blocked is true if one of the keys is blocked,
	// or if the client or the family ("" means none) is absent, disabled or revoked. The User is
	// the account of the subject with its current epoch.
	//
	// Without a subject the User is zero and the epoch is Client.Epoch. So a token of a deleted
	// client is not valid for a later client with its ID. A token that was issued before its client
	// was disabled is not valid after the client is enabled again. It returns ErrNotFound if the
	// account of the subject is absent.
	SignedAccessStatus(ctx context.Context, client, family, subject string, keys BlockKeys) (User, TokenStatus, error)
	// DeleteAccess deletes the token. It returns ErrNotFound if there is none or it was already
	// deleted.
	DeleteAccess(ctx context.Context, d Digest) error
}

// CloneCredential returns a *AccessToken that shares no slice with t. Package authn calls it so
// that application code cannot modify data that requests share.
func (t *AccessToken) CloneCredential() any {
	c := *t
	c.Scopes, c.Resource = slices.Clip(slices.Clone(c.Scopes)), slices.Clip(slices.Clone(c.Resource))
	c.Actors, c.AMR = slices.Clip(slices.Clone(c.Actors)), slices.Clip(slices.Clone(c.AMR))
	return &c
}
