package oauth2

import (
	"context"
	"log/slog"

	"github.com/vestibule-auth/vestibule/authn/audit"
)

// EventKind is what happened.
type EventKind string

const (
	// Authorized: a user allowed what a client asked for.
	Authorized EventKind = "authorized"
	// Granted: a code was exchanged, or a client got a token for itself.
	Granted EventKind = "granted"
	// Refreshed: a refresh token was exchanged. Repeated: its answer was given again.
	Refreshed EventKind = "refreshed"
	Repeated  EventKind = "repeated"
	// CodeReused, RefreshReused: one was used again, perhaps a copy of it. What came of it
	// has ended.
	CodeReused    EventKind = "code_reused"
	RefreshReused EventKind = "refresh_reused"
	// Revoked: a client gave a token back.
	Revoked EventKind = "revoked"
	// ForeignRevocation: a client tried that with another one's token. Nothing happened.
	ForeignRevocation EventKind = "foreign_revocation"
)

// Event is something that happened; it holds no secret.
type Event struct {
	Kind            EventKind
	Client, Subject string
	// Family is the grant, "" where there is none.
	Family string
}

func (s *Server) tell(ctx context.Context, e Event) {
	if e.Kind == CodeReused || e.Kind == RefreshReused {
		s.logger().LogAttrs(ctx, slog.LevelWarn, "a code or a refresh token was used again; what came of it has ended",
			slog.String("kind", string(e.Kind)), slog.String("client", e.Client), slog.String("subject", e.Subject), slog.String("family", e.Family))
	}
	audit.Notify(ctx, s.opts.Logger, s.Name(), s.opts.Observe, e)
}
