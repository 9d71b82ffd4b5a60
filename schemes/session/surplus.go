package session

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// NoLimit, as MaxSessions, lets a user have any number of sessions.
const NoLimit = -1

const (
	// defaultMax is Options.MaxSessions if it is 0, backlog how many more a login ends at once.
	defaultMax, backlog = 1000, 100
	// dropTimeout bounds what a client that leaves does not stop.
	dropTimeout = 5 * time.Second
)

// surplus ends the sessions of a user that were not used for longest, if there are more than
// Options.MaxSessions, and what their browsers remember. It is no reason to refuse the login that
// made the session with the ID keep: what fails is ended by a later one.
func (s *Scheme) surplus(ctx context.Context, subject, keep string) {
	if s.opts.MaxSessions == NoLimit {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	list, err := s.rows.ListSessions(ctx, subject, s.opts.MaxSessions+backlog) // the last seen first
	now := s.now()
	// Expired ones are removed by inserts. What their browsers remember holds.
	list = slices.DeleteFunc(list, func(v storage.Session) bool { return v.ID == keep || v.Expired(now) })
	for _, v := range list[min(s.opts.MaxSessions-1, len(list)):] {
		if err = s.evict(ctx, subject, v.ID, familyOf(keep)); err != nil {
			break
		}
	}
	s.surplusStays(ctx, subject, err)
}

// surplusSeries is surplus for remembered logins: of the user's series it ends the oldest, with
// their sessions.
func (s *Scheme) surplusSeries(ctx context.Context, subject, keep string) {
	if s.opts.MaxSessions == NoLimit {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	list, err := s.memory.families.ListFamilies(ctx, s.memory.purpose, subject, s.opts.MaxSessions+backlog)
	list = slices.DeleteFunc(list, func(f storage.Family) bool { return f.ID == keep })
	for _, f := range list[min(s.opts.MaxSessions-1, len(list)):] {
		if err = s.memory.rotator.EndFamily(ctx, f.ID); err == nil {
			err = s.endSeries(ctx, f, "")
		}
		if err != nil {
			break
		}
		s.opts.Audit.Notify(ctx, audit.Event{Kind: audit.SessionEnded, Reason: reasonLimit, Scheme: s.Name(), Subject: subject, Family: f.ID, Epoch: f.Epoch})
	}
	s.surplusStays(ctx, subject, err)
}

// evict ends a session, and its series unless that is the one to keep: a browser that lost its
// session cookies goes on with the last one.
func (s *Scheme) evict(ctx context.Context, subject, id, keep string) error {
	if series := familyOf(id); s.memory != nil && series != "" && series != keep {
		if err := s.memory.rotator.EndFamily(ctx, series); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	err := s.rows.DeleteSessionOf(ctx, subject, id)
	if errors.Is(err, storage.ErrNotFound) { // somebody else did
		return nil
	}
	if err == nil {
		s.notify(ctx, audit.SessionEnded, &storage.Session{Subject: subject, ID: id}, reasonLimit)
	}
	return err
}

func (s *Scheme) surplusStays(ctx context.Context, subject string, err error) {
	if err != nil {
		cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelWarn, "old sessions not ended", slog.String("scheme", s.Name()), slog.String("subject", subject), slog.Any("error", err))
	}
}
