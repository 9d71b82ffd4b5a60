package server

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// The reasons of events whose kind has several causes.
const (
	// reasonOtherClient means that a client sent a token of another client to the revocation or
	// introspection endpoint. reasonPublicClient means that a public client tried to introspect a
	// token.
	reasonOtherClient  = "other_client"
	reasonPublicClient = "public_client"
	// reasonLimit means that the user had more grants than the limit allows.
	reasonLimit = "limit"
)

type heldKey struct{}

// InTx runs fn in a transaction of the store. It passes on the events of fn after the commit, so
// that no event reports a change that was rolled back. With audit.Options.Required, the events are
// stored in the transaction. fn may run again.
func (s *Server) InTx(ctx context.Context, fn func(context.Context) error) error {
	return s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) error {
		var held []audit.Event
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
	})
}

// Change runs a change of the store together with its events; see audit.Notifier.Change. Use it for
// a change that needs no transaction of its own.
func (s *Server) Change(ctx context.Context, fn func(context.Context) error) error {
	return s.opts.Audit.Change(ctx, s.store, fn)
}

// Notify passes an event to Options.Audit, with the name of the scheme, and logs reuse of codes and
// refresh tokens. Inside InTx, Notify returns immediately, and the
// event is sent after the commit. Packages that extend the server report their
// events with it.
func (s *Server) Notify(ctx context.Context, e audit.Event) {
	if held, ok := ctx.Value(heldKey{}).(*[]audit.Event); ok {
		*held = append(*held, e)
		return
	}
	e.Scheme = s.api.Name()
	if e.Kind == audit.CodeReuse || e.Kind == audit.RefreshReuse {
		audit.LogReuse(ctx, s.opts.Logger, e)
	}
	s.opts.Audit.Notify(ctx, e)
}

// about returns an event about a grant.
func about(kind audit.Kind, f storage.Family) audit.Event {
	return audit.Event{Kind: kind, Client: f.Client, Subject: f.Subject, Family: f.ID, Epoch: f.Epoch}
}

// audited adds the user agent and the trace ID to the events of a request.
func audited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(audit.Context(r)))
	})
}
