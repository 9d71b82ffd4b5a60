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
	reasonLimit      = "limit" // a login ended it: the user has too many
)

// notify reports what happened to a session.
func (s *frame) notify(ctx context.Context, kind audit.Kind, v *storage.Session, reason string) {
	s.opts.Audit.Notify(ctx, audit.Event{
		Kind: kind, Reason: reason, Scheme: s.Name(), Subject: v.Subject, Session: v.ID, Family: familyOf(v.ID), Epoch: v.Epoch,
	})
}

// several reports a request with several cookies of the session's name, one of which may be
// forged. Cookies that are too long to be read are no sign of that.
func (s *frame) several(r *http.Request) {
	if _, err := cookieValue(r, s.cookie); err == errLong {
		return
	}
	s.notify(audit.Context(r), audit.CredentialRejected, &storage.Session{}, reasonSeveral)
}
