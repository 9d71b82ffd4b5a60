package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// AuthRequest is an authorization request that waits: for the user's decision, or to be
// used by the client that pushed it (RFC 9126).
type AuthRequest struct {
	Digest Digest
	// Purpose tells what it waits for.
	Purpose string
	// Client is "" where no client is known, as at a logout.
	Client string
	// Subject and Session are who is asked, in which login; "" for nobody yet.
	Subject, Session string
	// Data is the request, as its maker wrote it.
	Data             []byte
	Created, Expires time.Time
}

// Expired reports whether the request has ended at now.
func (a *AuthRequest) Expired(now time.Time) bool { return !now.Before(a.Expires) }

// Check returns ErrInvalid, with a word on why, unless a can be kept.
func (a *AuthRequest) Check() error {
	var end error
	switch {
	case a.Digest.IsZero() || a.Expires.IsZero():
		end = fmt.Errorf("%w: a request without a digest or an end", ErrInvalid)
	case len(a.Data) > MaxDataBytes:
		end = fmt.Errorf("%w: a request of %d bytes", ErrInvalid, len(a.Data))
	}
	return errors.Join(end, CheckID("purpose", a.Purpose), checkText("client", a.Client), checkText("subject", a.Subject), checkText("session", a.Session))
}

// AuthRequests keeps authorization requests that are used once.
type AuthRequests interface {
	// CreateAuthRequest inserts a: ErrConflict where the digest is taken, ErrStale where
	// a.Client, if not "", is absent, ErrInvalid where a cannot be kept.
	CreateAuthRequest(ctx context.Context, a AuthRequest) error
	// AuthRequestByDigest returns the request, expired or not, and leaves it. ErrNotFound
	// where there is none.
	AuthRequestByDigest(ctx context.Context, d Digest) (AuthRequest, error)
	// ConsumeAuthRequest deletes the request: ErrNotFound where it is absent (already). Of many
	// at once one takes it. Expiry is the caller's to judge.
	ConsumeAuthRequest(ctx context.Context, d Digest) error
}
