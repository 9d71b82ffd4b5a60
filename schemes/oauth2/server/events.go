package server

import (
	"context"
	"log/slog"

	"github.com/vestibule-auth/vestibule/authn/audit"
)

// EventKind is what happened.
type EventKind string

const (
	// Authorized: a user granted what a client requested.
	Authorized EventKind = "authorized"
	// Granted: tokens were issued for a new grant, or to a client for itself.
	Granted EventKind = "granted"
	// Refreshed: a refresh token was exchanged. Repeated: its response was sent again.
	Refreshed EventKind = "refreshed"
	Repeated  EventKind = "repeated"
	// CodeReused, RefreshReused: one was used again, perhaps by an attacker who copied it. The
	// grant is revoked.
	CodeReused    EventKind = "code_reused"
	RefreshReused EventKind = "refresh_reused"
	// Revoked: a client revoked a token.
	Revoked EventKind = "revoked"
	// ForeignRevocation: a client tried to revoke a token of another one. Nothing changed.
	ForeignRevocation EventKind = "foreign_revocation"
	// Withdrawn: a user revoked a grant.
	Withdrawn EventKind = "withdrawn"
	// Evicted: a grant was revoked because its user granted the same client more than 100.
	Evicted EventKind = "evicted"
	// ClientRegistered, ClientChanged and ClientDeleted: a client did this itself.
	ClientRegistered EventKind = "client_registered"
	ClientChanged    EventKind = "client_changed"
	ClientDeleted    EventKind = "client_deleted"
)

// Event is something that happened; it holds no secret.
type Event struct {
	Kind            EventKind
	Client, Subject string
	// Family is the grant, "" if there is none.
	Family string
}

type heldKey struct{}

// InTx runs fn in a transaction of the store. The events of fn are passed on after it committed, so
// that none reports what did not happen. fn may run again.
func (s *Server) InTx(ctx context.Context, fn func(context.Context) error) error {
	var held []Event
	err := s.store.InTx(context.WithValue(ctx, heldKey{}, &held), func(ctx context.Context) error {
		held = nil
		return fn(ctx)
	})
	if err == nil {
		for _, e := range held {
			s.Notify(ctx, e)
		}
	}
	return err
}

// Notify passes an event to Options.Observe, and logs those that suggest an attack.
func (s *Server) Notify(ctx context.Context, e Event) {
	if held, ok := ctx.Value(heldKey{}).(*[]Event); ok {
		*held = append(*held, e)
		return
	}
	if e.Kind == CodeReused || e.Kind == RefreshReused {
		s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "token reuse detected; grant revoked", slog.String("scheme", s.api.Name()),
			slog.String("kind", string(e.Kind)), slog.String("client", e.Client), slog.String("subject", e.Subject), slog.String("family", e.Family))
	}
	audit.Notify(ctx, s.opts.Logger, s.api.Name(), s.opts.Observe, e)
}
