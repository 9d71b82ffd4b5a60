package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// AuthRequest is a stored authorization request. It waits for the user's decision, or for the
// client that pushed it (RFC 9126).
type AuthRequest struct {
	Digest Digest
	// Purpose names what the request waits for.
	Purpose string
	// Client is the client's ID; "" if there is no client, for example at a logout.
	Client string
	// Subject and Session are the user who decides and the user's login; "" if not known yet.
	Subject, Session string
	// Data is the request in the encoding of its creator.
	Data             []byte
	Created, Expires time.Time
}

// Expired reports whether the request has expired at the given time.
func (a *AuthRequest) Expired(now time.Time) bool { return !now.Before(a.Expires) }

// Check returns ErrInvalid, with the reason, if the request cannot be stored.
func (a *AuthRequest) Check() error {
	var end error
	switch {
	case a.Digest.IsZero() || a.Expires.IsZero():
		end = fmt.Errorf("%w: authorization request without a digest or an expiry", ErrInvalid)
	case len(a.Data) > MaxDataBytes:
		end = fmt.Errorf("%w: authorization request of %d bytes (at most %d)", ErrInvalid, len(a.Data), MaxDataBytes)
	}
	return errors.Join(end, CheckID("purpose", a.Purpose), checkText("client", a.Client), checkText("subject", a.Subject), checkText("session", a.Session))
}

// AuthRequests stores authorization requests, which are used once.
type AuthRequests interface {
	// CreateAuthRequest inserts a. It returns ErrConflict if the digest exists, and ErrInvalid if
	// a.Check rejects a. It returns ErrStale if a.Client names a client that does not exist.
	CreateAuthRequest(ctx context.Context, a AuthRequest) error
	// AuthRequestByDigest returns the request, expired or not, and does not consume it. It returns
	// ErrNotFound if there is none.
	AuthRequestByDigest(ctx context.Context, d Digest) (AuthRequest, error)
	// ConsumeAuthRequest deletes the request. If there is none, or it was already consumed, it
	// returns ErrNotFound. Of several concurrent calls, one succeeds. The caller checks whether the
	// request has expired.
	ConsumeAuthRequest(ctx context.Context, d Digest) error
}
