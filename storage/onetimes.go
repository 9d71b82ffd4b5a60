package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// OneTimeToken is a token that is good for one use, such as the one in a link that resets a
// password.
type OneTimeToken struct {
	Digest Digest
	// Purpose is what it is for; a subject has one of a purpose.
	Purpose string
	Subject string
	// Epoch is the subject's epoch when it was made.
	Epoch int64
	// Bound is the digest of the token's text together with whatever else must be the
	// same at its use, such as an e-mail address; zero for nothing.
	Bound   Digest
	Created time.Time
	Expires time.Time
}

// Expired reports whether the token has ended at now.
func (t *OneTimeToken) Expired(now time.Time) bool { return !now.Before(t.Expires) }

// Check returns ErrInvalid, with a word on why, unless t can be kept.
func (t *OneTimeToken) Check() error {
	var end error
	switch {
	case t.Expires.IsZero():
		end = fmt.Errorf("%w: a one-time token without an end", ErrInvalid)
	case t.Digest.IsZero():
		end = fmt.Errorf("%w: a one-time token without a digest", ErrInvalid)
	}
	return errors.Join(end, CheckID("purpose", t.Purpose), CheckID("subject", t.Subject))
}

// OneTimeTokens keeps tokens that are used once: what a use does moves the subject's epoch, as
// Accounts.ChangePassword does, so of many at once one succeeds. A new password, disabling
// and deleting the account delete those of the subject.
type OneTimeTokens interface {
	// OneTimeTokenByDigest returns the token, expired or not, and the account of its subject,
	// with its present epoch, in one round trip. ErrNotFound where one of them is absent.
	OneTimeTokenByDigest(ctx context.Context, d Digest) (OneTimeToken, User, error)
	// CreateOneTimeToken inserts t in place of the subject's earlier one of that purpose, as
	// one change. ErrStale where the subject is absent, disabled, or its epoch is not
	// t.Epoch; ErrConflict where the digest is taken; ErrInvalid where t cannot be kept.
	// Nothing is changed then.
	CreateOneTimeToken(ctx context.Context, t OneTimeToken) error
	// ConsumeOneTimeToken deletes t, which was read before. Call it in the transaction of what the
	// token allows, first: ErrNotFound where the token was deleted or replaced since it was read,
	// ErrStale where its subject is absent, disabled, or its epoch is not t.Epoch. Of concurrent
	// calls one succeeds, and a DeleteOneTimeTokens beside it comes before or waits for the
	// transaction.
	ConsumeOneTimeToken(ctx context.Context, t OneTimeToken) error
	// ListOneTimes returns the subject's tokens of all purposes, expired or not, in any order. In
	// a transaction that creates one afterwards, two callers may see the same list.
	ListOneTimes(ctx context.Context, subject string) ([]OneTimeToken, error)
	// DeleteOneTimeTokens deletes the subject's token of that purpose, if there is one.
	DeleteOneTimeTokens(ctx context.Context, subject, purpose string) error
}
