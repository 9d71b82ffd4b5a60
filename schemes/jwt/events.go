package jwt

import (
	"context"
	"log/slog"

	"github.com/vestibule-auth/vestibule/authn/audit"
)

// Kind is what happened to a family.
type Kind string

// The kinds of events.
const (
	LoggedIn  Kind = "logged_in"  // a family began
	Refreshed Kind = "refreshed"  // a refresh token was exchanged
	Repeated  Kind = "repeated"   // an answer was given again, within the grace
	Reused    Kind = "reused"     // a token was used again: the family has ended
	LoggedOut Kind = "logged_out" // a family or a token was ended on purpose
	Evicted   Kind = "evicted"    // a login ended an older family of a user who had too many
)

// Event is told to Options.Observe. It holds no secret.
type Event struct {
	Kind    Kind
	Subject string
	// Family is "sid".
	Family string
}

// tell logs a reuse, which may be a theft, and notifies the observer.
func (s *Scheme) tell(ctx context.Context, e Event) {
	if e.Kind == Reused {
		s.logger().LogAttrs(ctx, slog.LevelWarn, "a refresh token was used again; its family has ended",
			slog.String("scheme", s.Name()), slog.String("subject", e.Subject), slog.String("family", e.Family))
	}
	audit.Notify(ctx, s.opts.Logger, s.Name(), s.opts.Observe, e)
}

func (s *Scheme) logger() *slog.Logger {
	if s.opts.Logger != nil {
		return s.opts.Logger
	}
	return slog.Default()
}
