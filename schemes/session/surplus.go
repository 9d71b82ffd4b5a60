package session

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// NoLimit, as a limit in [Options], means no limit.
const NoLimit = credential.NoLimit

// defaultMax is the default of Options.MaxSessions.
const defaultMax = 1000

// surplus deletes the sessions of a user that were unused for the longest time, if there are more
// than Options.MaxSessions, and ends their remembered logins. Errors do not reject the login that
// created the session keep; a later login deletes the rest.
func (s *Scheme) surplus(ctx context.Context, subject, keep string) {
	now := s.now()
	var count func(context.Context) (int, error) // nil: the store cannot count
	if c, ok := s.rows.(storage.SessionCount); ok {
		count = func(ctx context.Context) (int, error) { return c.CountSessions(ctx, subject) }
	}
	err := credential.EndSurplus(ctx, s.opts.MaxSessions, count,
		func(ctx context.Context, limit int) ([]storage.Session, error) { // the most recently used first
			return s.rows.ListSessions(ctx, subject, limit)
		},
		// Inserts delete expired sessions. Their remembered logins are still valid.
		func(v storage.Session) bool { return v.ID == keep || v.Expired(now) },
		func(ctx context.Context, v storage.Session) error { return s.evict(ctx, subject, v.ID, familyOf(keep)) })
	s.surplusStays(ctx, subject, err)
}

// surplusSeries is surplus for remembered logins. It ends the oldest series of the user and deletes
// their sessions.
func (s *Scheme) surplusSeries(ctx context.Context, subject, keep string) {
	err := credential.EndSurplus(ctx, s.opts.MaxSessions,
		func(ctx context.Context) (int, error) {
			n, err := s.families.CountFamilies(ctx, purpose, subject)
			return n.Total, err
		},
		func(ctx context.Context, limit int) ([]storage.Family, error) {
			return s.families.ListFamilies(ctx, purpose, subject, storage.FamilyPlace{}, limit)
		},
		func(f storage.Family) bool { return f.ID == keep },
		func(ctx context.Context, f storage.Family) error {
			return s.opts.Audit.Change(ctx, s.rows, func(ctx context.Context) error {
				if err := s.memory.rotator.EndFamily(ctx, f.ID); err != nil {
					return err
				}
				if err := s.endSeries(ctx, f, ""); err != nil {
					return err
				}
				s.opts.Audit.Notify(ctx, audit.Event{Kind: audit.SessionEnded, Reason: reasonLimit, Scheme: s.Name(), Subject: subject, Family: f.ID, Epoch: f.Epoch})
				return nil
			})
		})
	s.surplusStays(ctx, subject, err)
}

// evict deletes a session and ends its series, unless the series is keep: a browser that lost its
// session cookies continues with the last one.
func (s *Scheme) evict(ctx context.Context, subject, id, keep string) error {
	if series := familyOf(id); series != "" && series != keep {
		if err := s.endFamily(ctx, series); err != nil {
			return err
		}
	}
	err := s.opts.Audit.Change(ctx, s.rows, func(ctx context.Context) error {
		err := s.rows.DeleteSessionOf(ctx, subject, id)
		if err == nil {
			s.notify(ctx, audit.SessionEnded, &storage.Session{Subject: subject, ID: id}, reasonLimit)
		}
		return err
	})
	if errors.Is(err, storage.ErrNotFound) { // another request deleted it
		return nil
	}
	return err
}

func (s *Scheme) surplusStays(ctx context.Context, subject string, err error) {
	if err != nil {
		cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelWarn, "old sessions not ended", slog.String("scheme", s.Name()), slog.String("subject", subject), slog.Any("error", err))
	}
}
