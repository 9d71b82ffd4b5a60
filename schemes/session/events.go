package session

import (
	"context"

	"github.com/vestibule-auth/vestibule/authn/audit"
)

// EventKind is what happened to a session.
type EventKind uint8

const (
	// LoggedIn: a login made a session.
	LoggedIn EventKind = iota
	// LoggedOut: a logout ended a session.
	LoggedOut
	// Ended: a session was ended out of the user's list, or by the program.
	Ended
	// Renamed: a session got a new cookie, as after a rise of privilege.
	Renamed
	// Expired: a session was presented, and refused, after its end. It is told each
	// time; the record stays until storage.Pruner removes it.
	Expired
	// SeveralCookies: a request had several cookies of the session's name, one of
	// which may be forged. It was refused.
	SeveralCookies
	// TouchFailed: the use of a session could not be written. The request went on.
	TouchFailed
	// Returned: a remembered login began a session.
	Returned
	// SeriesReused: a remember cookie was used again, perhaps a copy of it. Its series has
	// ended, named by SessionID, with every session that came from it.
	SeriesReused
	// Evicted: a login ended a session, or the series that SessionID names, of a user who had
	// too many.
	Evicted
)

var kinds = [...]string{"logged_in", "logged_out", "ended", "renamed", "expired", "several_cookies", "touch_failed", "returned", "series_reused", "evicted"}

// String returns a word for logs and metrics, such as "logged_in".
func (k EventKind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return "unknown"
}

// Event is something that happened to sessions, after it happened. It holds no
// secret.
type Event struct {
	Kind    EventKind
	Subject string
	// SessionID names the session; "" where several ended at once.
	SessionID string
	// Count is how many sessions it concerns.
	Count int
}

func (s *frame) tell(ctx context.Context, e Event) {
	audit.Notify(ctx, s.opts.Logger, "session", s.opts.Observe, e)
}
