package storage

import (
	"context"
	"fmt"
	"time"
)

// The kinds of BlockKeyOf for Replays.
const (
	ReplayAssertion = "assertion" // the "jti" of a client's assertion (RFC 7523)
	ReplayProof     = "dpop"      // the "jti" of a DPoP proof (RFC 9449)
)

// Replays notes what somebody else made and is good for one use, such as a signed assertion.
type Replays interface {
	// ConsumeJTI notes the thing that key names as used: ErrConflict where it was noted before.
	// Of many at once one is the first. The note counts until it is removed, which is after
	// until; so until is no earlier than when the thing itself ends. ErrInvalid for the zero
	// key and the zero time, and nothing is noted then. now is the caller's clock.
	ConsumeJTI(ctx context.Context, key BlockKey, now, until time.Time) error
	// Used reports whether the thing was noted, without noting it, for a caller that notes the use
	// after what it is for succeeded. The zero key was never used.
	Used(ctx context.Context, key BlockKey) (bool, error)
}

// CheckJTI returns ErrInvalid, with a word on why, unless a use can be noted.
func CheckJTI(key BlockKey, until time.Time) error {
	if key.IsZero() || until.IsZero() {
		return fmt.Errorf("%w: a use without a key or an end", ErrInvalid)
	}
	return nil
}
