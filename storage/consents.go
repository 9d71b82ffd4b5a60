package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Consent is what a user allowed to a client, kept so that the user is not asked for the
// same again.
type Consent struct {
	Subject, Client  string
	Scopes, Resource []string
	// Epoch is the subject's epoch as read before the user was authenticated.
	Epoch   int64
	Created time.Time
	// Expires is when the user is asked again.
	Expires time.Time
}

// Expired reports whether the consent has ended at now.
func (c *Consent) Expired(now time.Time) bool { return !now.Before(c.Expires) }

// Check returns ErrInvalid, with a word on why, unless c can be kept.
func (c *Consent) Check() error {
	var end error
	if c.Expires.IsZero() {
		end = fmt.Errorf("%w: a consent without an end", ErrInvalid)
	}
	return errors.Join(end, CheckID("subject", c.Subject), CheckID("client", c.Client), checkScopes(c.Scopes), checkScopes(c.Resource))
}

// Consents keeps what users allowed to clients: one consent of a user to a client at most.
type Consents interface {
	// PutConsent inserts c, or replaces the consent of its subject to its client. ErrStale
	// where the subject is absent, disabled, or its epoch is not c.Epoch, and where the
	// client is absent or disabled; ErrInvalid where c cannot be kept.
	PutConsent(ctx context.Context, c Consent) error
	// ConsentOf returns the consent, expired or not, of whatever epoch. ErrNotFound where
	// there is none; a malformed name counts as absent.
	ConsentOf(ctx context.Context, subject, client string) (Consent, error)
	// DeleteConsent deletes the consent; ErrNotFound where it is absent (already). It goes with
	// its client and with its account too.
	DeleteConsent(ctx context.Context, subject, client string) error
}
