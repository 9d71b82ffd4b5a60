package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Code is an authorization code: what a user granted to a client, to be exchanged once
// (RFC 6749 section 4.1.2).
type Code struct {
	Digest  Digest
	Client  string
	Subject string
	// Epoch is the subject's epoch as read before the user was authenticated.
	Epoch int64
	// RedirectURI is that of the request, byte for byte; "" where it named none.
	RedirectURI      string
	Scopes, Resource []string
	// Challenge is the S256 challenge of PKCE (RFC 7636); "" for none.
	Challenge string
	// Nonce is that of OpenID Connect, Confirm the thumbprint of a DPoP key; "" for none.
	Nonce, Confirm string
	// Session is the login that it was granted in; "" where that is not known.
	Session  string
	AuthTime time.Time
	Created  time.Time
	// Expires is when it can be exchanged no more.
	Expires time.Time
	// Kept is until when the store knows it. ConsumeCode makes that later, so that a second use is
	// noticed.
	Kept time.Time
	// Used: it was exchanged, or burnt. Family is what came of it; "" for nothing.
	Used   bool
	Family string
}

// Check returns ErrInvalid, with a word on why, unless c can be kept.
func (c *Code) Check() error {
	var end error
	switch {
	case c.Digest.IsZero():
		end = fmt.Errorf("%w: a code without a digest", ErrInvalid)
	case c.Expires.IsZero() || c.Kept.Before(c.Expires):
		end = fmt.Errorf("%w: a code without an end, or not kept until it", ErrInvalid)
	case len(c.RedirectURI) > MaxScopesBytes || c.RedirectURI != "" && !plain(c.RedirectURI):
		end = fmt.Errorf("%w: a redirect URI that is too long, or no URI", ErrInvalid)
	}
	return errors.Join(end, CheckID("client", c.Client), CheckID("subject", c.Subject), checkScopes(c.Scopes), checkScopes(c.Resource),
		checkText("challenge", c.Challenge), checkText("nonce", c.Nonce), checkText("session", c.Session), checkText("confirmation", c.Confirm))
}

// Codes keeps authorization codes.
type Codes interface {
	// CreateCode inserts c, unused. ErrStale where the subject is absent, disabled, or its
	// epoch is not c.Epoch, and where the client is absent or disabled; ErrConflict where the digest is taken; ErrInvalid where c cannot
	// be kept.
	CreateCode(ctx context.Context, c Code) error
	// CodeByDigest returns the code, used and expired or not, and the account of its
	// subject, with its present epoch. ErrNotFound where one of them is absent.
	CodeByDigest(ctx context.Context, d Digest) (Code, User, error)
	// ConsumeCode marks the code as used and records the family that it was exchanged for ("" for
	// none). A Code.Kept before kept becomes kept, so a code that nobody exchanges need not be stored as
	// long. It returns ErrConflict if the code was used before, and ErrNotFound if there is none.
	// Of concurrent calls one succeeds. The caller checks whether the code has expired.
	ConsumeCode(ctx context.Context, d Digest, family string, kept time.Time) error
	// DeleteCodes deletes the subject's codes for the client that were not used. None is no
	// error. Used ones stay, so that a second use is noticed.
	DeleteCodes(ctx context.Context, subject, client string) error
}

// AccessToken is an opaque access token.
type AccessToken struct {
	Digest Digest
	// ID names the token in lists, events and the blocklist. It is random and no secret.
	ID string
	// Family is the login or grant that it came of; "" for one that a client got for itself.
	Family string
	Client string
	// Subject is the user; "" for none.
	Subject string
	// Epoch is the family's.
	Epoch int64
	// ClientRevoked, of a token without a Family, is Client.Revoked of its client as it was authenticated.
	// CreateAccess compares it, and stores do not keep it.
	ClientRevoked    time.Time
	Scopes, Resource []string
	// Confirm is the thumbprint of a DPoP key; "" for a bearer token.
	Confirm  string
	AuthTime time.Time
	Created  time.Time
	Expires  time.Time
}

// Expired reports whether the token has ended at now.
func (t *AccessToken) Expired(now time.Time) bool { return !now.Before(t.Expires) }

// Check returns ErrInvalid, with a word on why, unless t can be kept.
func (t *AccessToken) Check() error {
	var end error
	switch {
	case t.Digest.IsZero() || t.Expires.IsZero():
		end = fmt.Errorf("%w: an access token without a digest or an end", ErrInvalid)
	case (t.Subject == "") != (t.Family == ""):
		end = fmt.Errorf("%w: an access token of a user without a family, or the reverse", ErrInvalid)
	}
	return errors.Join(end, CheckID("token id", t.ID), CheckID("client", t.Client), checkText("subject", t.Subject), checkText("family", t.Family),
		checkScopes(t.Scopes), checkScopes(t.Resource), checkText("confirmation", t.Confirm))
}

// AccessState is an access token with all that decides about it, as of one moment.
type AccessState struct {
	Access AccessToken
	// User is the token's subject, with its present epoch; the zero one where there is none.
	User User
	// Ended: its family has ended or is gone, or its client is disabled.
	Ended bool
}

// AccessTokens keeps opaque access tokens, and knows what ends signed ones.
type AccessTokens interface {
	// AccessByDigest returns the token, expired and ended or not, in one round trip.
	// ErrNotFound where it, its client, or the account of its subject is absent.
	AccessByDigest(ctx context.Context, d Digest) (AccessState, error)
	// CreateAccess inserts t. ErrStale where its client is absent or disabled or, without a family, its
	// Revoked is not t.ClientRevoked: a request that was authenticated before the client was disabled
	// leaves no token after it was enabled again. ErrStale also where its
	// family is absent or has ended, and where its subject is absent, disabled, or its epoch
	// is not t.Epoch; ErrConflict where the digest or the ID is taken; ErrInvalid where t can
	// not be kept.
	CreateAccess(ctx context.Context, t AccessToken) error
	// SignedAccessStatus returns, in one round trip, what decides about a signed access token, of
	// which nothing is kept: whether one of the keys is blocked, the client is absent or
	// disabled, or the family ("" for none) is absent or has ended: all of that is
	// TokenStatus.Blocked; and the account of the subject with its present epoch. Without a
	// subject the User is the zero one and the epoch is Client.Epoch, so that a token of a client that
	// was deleted does not fit a later client of its ID, and one of a client that was disabled does not
	// fit the client that is enabled again. ErrNotFound where the account of a subject is absent.
	SignedAccessStatus(ctx context.Context, client, family, subject string, keys BlockKeys) (User, TokenStatus, error)
	// DeleteAccess deletes the token; ErrNotFound where it is absent (already).
	DeleteAccess(ctx context.Context, d Digest) error
}

// CloneCredential returns a *AccessToken that shares no list with t. Package authn calls it so
// that code of an application does not modify what requests share.
func (t *AccessToken) CloneCredential() any {
	c := *t
	c.Scopes, c.Resource = slices.Clip(slices.Clone(c.Scopes)), slices.Clip(slices.Clone(c.Resource))
	return &c
}
