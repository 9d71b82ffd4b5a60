package knox

import (
	"context"

	"github.com/vestibule-auth/vestibule/authn/audit"
)

// EventKind is what happened to a token.
type EventKind uint8

const (
	// LoggedIn: the login endpoint made a token.
	LoggedIn EventKind = iota
	// Issued: the program made a token with Issue.
	Issued
	// LoggedOut: a logout endpoint ended tokens.
	LoggedOut
	// Revoked: Revoke, RevokeAll or the endpoint RevokeOne ended tokens.
	Revoked
	// Evicted: a new token took the place of an older one at the limit.
	Evicted
	// Expired: a token was presented, and refused, after its expiry. It is told
	// each time; the record stays until storage.Pruner removes it.
	Expired
	// TouchFailed: the use of a token could not be written. The request went on.
	TouchFailed
)

var kinds = [...]string{"logged_in", "issued", "logged_out", "revoked", "evicted", "expired", "touch_failed"}

// String returns a word for logs and metrics, such as "logged_in".
func (k EventKind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return "unknown"
}

// Event is something that happened to tokens of a user, after it happened. It
// holds no secret.
type Event struct {
	Kind    EventKind
	Subject string
	// TokenID names the token; "" where several ended at once.
	TokenID string
	// Count is how many tokens it concerns.
	Count int
}

func (s *Scheme) tell(ctx context.Context, e Event) {
	audit.Notify(ctx, s.opts.Logger, s.Name(), s.opts.Observe, e)
}
