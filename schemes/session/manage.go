package session

import (
	"context"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// Sessions returns up to limit valid sessions of the user, the most recently used first.
func (s *Scheme) Sessions(ctx context.Context, subject string, limit int) ([]storage.Session, error) {
	list, err := s.rows.ListSessions(ctx, subject, limit)
	if err != nil {
		return nil, err
	}
	now, live := s.now(), list[:0]
	for _, v := range list {
		if !v.Expired(now) && !ahead(now, v.Created, v.LastSeen) {
			live = append(live, v)
		}
	}
	return live, nil
}

// EndOne deletes the user's session with that ID and revokes the remembered login of its browser.
// It returns [storage.ErrNotFound] if the user has no such session.
func (s *Scheme) EndOne(ctx context.Context, subject, id string) error {
	return s.opts.Audit.Change(ctx, s.rows, func(ctx context.Context) error {
		err := s.endOne(ctx, subject, id)
		if err == nil {
			s.notify(ctx, audit.SessionEnded, &storage.Session{Subject: subject, ID: id}, "")
		}
		return err
	})
}

// EndAll deletes the user's sessions, except the session with the ID in keep. If keep is "", it
// deletes all of them. It also revokes the remembered logins of other browsers. It returns the
// number of deleted sessions.
func (s *Scheme) EndAll(ctx context.Context, subject, keep string) (n int, err error) {
	err = s.opts.Audit.Change(ctx, s.rows, func(ctx context.Context) (err error) {
		series, err := s.forgetAll(ctx, subject, familyOf(keep))
		if err != nil {
			return err
		}
		n, err = s.rows.DeleteSessionsOf(ctx, subject, keep)
		if ended := max(n, series); err == nil && ended > 0 { // a remembered login may have no session
			s.opts.Audit.Notify(ctx, audit.Event{Kind: audit.SessionEnded, Scheme: s.Name(), Subject: subject, Count: ended})
		}
		return err
	})
	return n, err
}
