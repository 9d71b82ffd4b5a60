package storage

import (
	"context"
	"fmt"
	"time"
)

// The kinds of BlockKeyOf for [Replays].
const (
	ReplayAssertion = "assertion" // the "jti" of a client's assertion (RFC 7523)
	ReplayProof     = "dpop"      // the "jti" of a DPoP proof (RFC 9449)
	ReplayPushed    = "pushed"    // a pushed authorization request (RFC 9126)
)

// Replays records the IDs of tokens that others created and that can be used once, such as signed
// assertions.
type Replays interface {
	// ConsumeJTI records key as used. It returns ErrConflict if key is already recorded. Of several
	// concurrent calls, one succeeds. The record is kept at least until the given time, which must
	// not be earlier than the token's own expiry. now is the caller's clock. For a zero key or a
	// zero time it returns ErrInvalid, and records nothing.
	ConsumeJTI(ctx context.Context, key BlockKey, now, until time.Time) error
	// Used reports whether key was recorded, and does not record it. Call it before an operation if
	// ConsumeJTI is called only after the operation has succeeded. The zero key is never used.
	Used(ctx context.Context, key BlockKey) (bool, error)
}

// CheckJTI returns ErrInvalid if the key or the time of a use is zero, so that the use cannot be
// recorded.
func CheckJTI(key BlockKey, until time.Time) error {
	if key.IsZero() || until.IsZero() {
		return fmt.Errorf("%w: replay record without a key or an expiry", ErrInvalid)
	}
	return nil
}
