package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Consent records the rights that a user gave to a client, so that the user does not have to decide
// again.
type Consent struct {
	Subject, Client  string
	Scopes, Resource []string
	// Epoch is the subject's epoch, read before the user was authenticated.
	Epoch   int64
	Created time.Time
	// Expires is when the user must decide again.
	Expires time.Time
}

// Expired reports whether the consent has expired at the given time.
func (c *Consent) Expired(now time.Time) bool { return !now.Before(c.Expires) }

// Check returns ErrInvalid, with the reason, if c cannot be stored.
func (c *Consent) Check() error {
	var end error
	if c.Expires.IsZero() {
		end = fmt.Errorf("%w: consent without an expiry", ErrInvalid)
	}
	return errors.Join(end, CheckID("subject", c.Subject), CheckID("client", c.Client), checkScopes(c.Scopes), checkScopes(c.Resource))
}

// Consents stores at most one consent per subject and client.
type Consents interface {
	// PutConsent inserts c, or replaces the consent of the same subject and client. It returns
	// ErrStale if the subject or the client is absent or disabled, or if the subject's epoch is not
	// c.Epoch. It returns ErrInvalid if c.Check rejects c.
	PutConsent(ctx context.Context, c Consent) error
	// ConsentOf returns the consent, expired or not, with any epoch. If there is none, or a name is
	// malformed, it returns ErrNotFound.
	ConsentOf(ctx context.Context, subject, client string) (Consent, error)
	// DeleteConsent deletes the consent. If there is none, or it was already deleted, it returns
	// ErrNotFound. Deleting the client or the account deletes the consent too.
	DeleteConsent(ctx context.Context, subject, client string) error
}
