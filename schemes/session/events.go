package session

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// Reasons of events.
const (
	reasonExpired    = "expired"
	reasonSeveral    = "several_cookies"
	reasonRemembered = "remembered"
	reasonLimit      = "limit" // deleted by a login because the user has too many
)

// notify sends an event about a session.
func (s *frame) notify(ctx context.Context, kind audit.Kind, v *storage.Session, reason string) {
	s.opts.Audit.Notify(ctx, audit.Event{
		Kind: kind, Reason: reason, Scheme: s.Name(), Subject: v.Subject, Session: v.ID, Family: familyOf(v.ID), Epoch: v.Epoch,
	})
}

// changed runs a change of the request's session, whose events are part of it; see
// audit.Notifier.Change. f gets the request with the context of the change.
func (s *Scheme) changed(r *http.Request, f func(r *http.Request) error) error {
	return s.opts.Audit.Change(audit.Context(r), s.rows, func(ctx context.Context) error { return f(r.WithContext(ctx)) })
}

// several sends an event for a request with several session cookies, one of which may be forged. It
// sends none if the cookies are too long to be parsed, because that is no sign of an attack.
func (s *frame) several(r *http.Request) {
	if _, err := cookieValue(r, s.cookie); err == errLong {
		return
	}
	s.notify(audit.Context(r), audit.CredentialRejected, &storage.Session{}, reasonSeveral)
}
