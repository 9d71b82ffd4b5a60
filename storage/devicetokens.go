package storage

import (
	"context"
	"errors"
	"slices"
	"time"
)

// DeviceToken is one of a subject's many tokens, one for each device or program
// that logged in. The store keeps the digest of its text alone.
type DeviceToken struct {
	Digest Digest
	// ID names the token in lists and for revoking. It is random and no secret.
	ID      string
	Subject string
	// Name is what the user calls the device; shown, never compared.
	Name string
	// Scopes limit the token; nil does not, an empty list allows none.
	Scopes []string
	// Epoch is the subject's epoch as read before the login was verified.
	Epoch   int64
	Created time.Time
	// Expires is when it ends; zero is never.
	Expires time.Time
	// LastUsed is when it was last seen, within the scheme's interval; zero is never.
	LastUsed time.Time
	// TTL is how far a use moves Expires; 0 leaves it where it is.
	TTL time.Duration
	// Max is the latest time that Expires moves to; zero is no limit.
	Max time.Time
}

// Expired reports whether the token has ended at now.
func (t *DeviceToken) Expired(now time.Time) bool {
	return !t.Expires.IsZero() && !now.Before(t.Expires)
}

// Check returns ErrInvalid, with a word on why, unless t can be kept.
func (t *DeviceToken) Check() error {
	return errors.Join(CheckID("subject", t.Subject), CheckID("token id", t.ID), checkText("name", t.Name), checkScopes(t.Scopes))
}

// DeviceLimit is how many tokens a subject may have.
type DeviceLimit struct {
	// Max is the number; 0 is any.
	Max int
	// Evict deletes the oldest tokens to make room; otherwise a new one is refused.
	Evict bool
	// Now tells the expired, which do not count.
	Now time.Time
}

// DeviceTokens keeps any number of DeviceTokens per subject.
type DeviceTokens interface {
	// DeviceTokenByDigest returns the token, expired or not, and its account, with
	// the epoch that the subject has now in User.Epoch, in one round trip to the
	// database. ErrNotFound where either is absent.
	DeviceTokenByDigest(ctx context.Context, d Digest) (DeviceToken, User, error)
	// ListDeviceTokens returns up to limit tokens of the subject whose epoch is
	// its present one, the last created first (then by ID), expired ones included.
	ListDeviceTokens(ctx context.Context, subject string, limit int) ([]DeviceToken, error)
	// CreateDeviceToken inserts t and enforces the limit in one change: of the
	// subject's tokens those count that have its present epoch and are not expired
	// at l.Now. It returns the tokens that were evicted: the oldest by Created,
	// then ID. ErrLimit where there is no room and nothing may be evicted,
	// ErrConflict where the digest is taken or the subject has that ID, ErrStale where the subject
	// is absent, disabled, or its epoch is not t.Epoch, ErrInvalid where a text can
	// not be kept. Nothing is changed then.
	CreateDeviceToken(ctx context.Context, t DeviceToken, l DeviceLimit) (evicted []DeviceToken, err error)
	// TouchDeviceToken notes a use: where the token is there, not expired at used,
	// and was last used at before or earlier (or never), it sets LastUsed to used
	// and Expires to expires, which never moves it back, and reports true. A zero
	// expires leaves Expires. Of many at once one writes.
	TouchDeviceToken(ctx context.Context, d Digest, used, expires, before time.Time) (bool, error)
	// DeleteDeviceToken removes the subject's token with that ID; ErrNotFound where
	// it has none (any more).
	DeleteDeviceToken(ctx context.Context, subject, id string) error
	// DeleteDeviceTokensOf removes all tokens of the subject but the one whose ID is
	// keep ("" keeps none), and returns how many there were.
	DeleteDeviceTokensOf(ctx context.Context, subject, keep string) (int, error)
}

// CloneCredential returns a *DeviceToken that shares no list with t. Package authn calls it so
// that code of an application does not modify what requests share.
func (t *DeviceToken) CloneCredential() any {
	c := *t
	c.Scopes = slices.Clip(slices.Clone(c.Scopes))
	return &c
}
