package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// OneTimeToken is a token that can be used once, such as the token in a password reset link.
type OneTimeToken struct {
	Digest Digest
	// Purpose is what the token allows. A subject has at most one token per purpose.
	Purpose string
	Subject string
	// Epoch is the subject's epoch when the token was created.
	Epoch int64
	// Bound is the digest of the token's text and of data that must not change before the token is
	// used, such as an e-mail address. Zero means no such data.
	Bound   Digest
	Created time.Time
	Expires time.Time
}

// Expired reports whether the token has expired at the given time.
func (t *OneTimeToken) Expired(now time.Time) bool { return !now.Before(t.Expires) }

// Check returns ErrInvalid, with the reason, if t cannot be stored.
func (t *OneTimeToken) Check() error {
	var end error
	switch {
	case t.Expires.IsZero():
		end = fmt.Errorf("%w: one-time token without an expiry", ErrInvalid)
	case t.Digest.IsZero():
		end = fmt.Errorf("%w: one-time token without a digest", ErrInvalid)
	}
	return errors.Join(end, CheckID("purpose", t.Purpose), CheckID("subject", t.Subject))
}

// OneTimeTokens stores tokens that are used once. The action that a token allows changes the
// subject's epoch, as Accounts.ChangePassword does, so only one of several concurrent uses
// succeeds. The subject's tokens are deleted when the account gets a new password, is disabled or
// is deleted.
type OneTimeTokens interface {
	// OneTimeTokenByDigest returns the token, expired or not, and the account of its subject with
	// its current epoch, in one round trip. It returns ErrNotFound if either is absent.
	OneTimeTokenByDigest(ctx context.Context, d Digest) (OneTimeToken, User, error)
	// CreateOneTimeToken inserts t and deletes the subject's earlier token of that purpose, in one
	// change. It returns ErrStale if the subject is absent or disabled, or if its epoch is not
	// t.Epoch. It returns ErrConflict if the digest exists, and ErrInvalid if t.Check rejects t.
	// Errors change nothing.
	CreateOneTimeToken(ctx context.Context, t OneTimeToken) error
	// ConsumeOneTimeToken deletes t, which the caller has read before. Call it first in the
	// transaction of the action that the token allows. It returns ErrNotFound if the token was
	// deleted or replaced since it was read, and ErrStale if the subject is absent or disabled, or
	// the subject's epoch is not t.Epoch. Of several concurrent calls, one succeeds. A concurrent
	// DeleteOneTimeTokens happens before the transaction or waits for it.
	ConsumeOneTimeToken(ctx context.Context, t OneTimeToken) error
	// ListOneTimes returns the subject's tokens of all purposes, expired or not, in any order. Two
	// transactions that list tokens and then create one can see the same list.
	ListOneTimes(ctx context.Context, subject string) ([]OneTimeToken, error)
	// DeleteOneTimeTokens deletes the subject's token of that purpose, if there is one.
	DeleteOneTimeTokens(ctx context.Context, subject, purpose string) error
}
