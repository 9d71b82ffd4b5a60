package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func copySession(v storage.Session) storage.Session {
	v.Data, v.AMR = bytes.Clone(v.Data), slices.Clone(v.AMR)
	v.Created, v.AuthTime, v.LastSeen = v.Created.UTC(), v.AuthTime.UTC(), v.LastSeen.UTC()
	v.Expires, v.Ends = v.Expires.UTC(), v.Ends.UTC()
	return v
}

// SessionByDigest implements storage.Sessions.
func (s *Store) SessionByDigest(ctx context.Context, d storage.Digest) (v storage.Session, u storage.User, err error) {
	err = s.read(ctx, func() error {
		var ok bool
		if v, ok = s.sessions[d]; !ok {
			return storage.ErrNotFound
		}
		if v.Subject != "" {
			u, err = s.user(v.Subject)
		}
		return err
	})
	if err != nil {
		return storage.Session{}, storage.User{}, err
	}
	return copySession(v), u, nil
}

// CreateSession implements storage.Sessions.
func (s *Store) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if v.Subject != "" && !s.mayHold(v.Subject, v.Epoch) {
			return storage.ErrStale
		}
		if !replaces.IsZero() {
			switch old, ok := s.sessions[replaces]; {
			case !ok:
				return storage.ErrNotFound
			case v.Version != 0 && v.Version != old.Version:
				return storage.ErrConflict
			}
			s.dropSession(t, replaces)
		}
		_, digest := s.sessions[v.Digest]
		_, id := s.sessionIDs[v.ID]
		if digest || id {
			return storage.ErrConflict
		}
		v = copySession(v)
		v.Version = 1
		put(t, s.sessions, v.Digest, v)
		put(t, s.sessionIDs, v.ID, v.Digest)
		sweep(&s.sweeps.sessions, s.sessions, s.notAhead(v.Created), func(v storage.Session) time.Time { return v.Expires }, func(d storage.Digest) { s.dropSession(t, d) })
		if v.Subject != "" {
			join(t, s.userSessions, v.Subject, v.Digest, true)
		}
		return nil
	})
}

func (s *Store) dropSession(t *tx, d storage.Digest) {
	v := s.sessions[d]
	drop(t, s.sessions, d)
	drop(t, s.sessionIDs, v.ID)
	leave(t, s.userSessions, v.Subject, d)
}

// SaveSession implements storage.Sessions.
func (s *Store) SaveSession(ctx context.Context, d storage.Digest, version int64, data []byte) error {
	if err := storage.CheckSessionData(data); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		v, ok := s.sessions[d]
		switch {
		case !ok:
			return storage.ErrNotFound
		case v.Version != version:
			return storage.ErrConflict
		}
		v.Data, v.Version = bytes.Clone(data), version+1
		put(t, s.sessions, d, v)
		return nil
	})
}

// TouchSession implements storage.Sessions.
func (s *Store) TouchSession(ctx context.Context, d storage.Digest, seen, expires, before time.Time) (touched bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		v, ok := s.sessions[d]
		if !ok || v.Expired(seen) || v.LastSeen.After(before) {
			return nil
		}
		correct := before.After(seen)
		if correct && !v.LastSeen.After(seen) {
			return nil
		}
		if expires.After(v.Ends) {
			expires = v.Ends
		}
		if correct || expires.After(v.Expires) {
			v.Expires = expires.UTC()
		}
		v.LastSeen = seen.UTC()
		put(t, s.sessions, d, v)
		touched = true
		return nil
	})
	return touched && err == nil, err
}

// DeleteSession implements storage.Sessions.
func (s *Store) DeleteSession(ctx context.Context, d storage.Digest) error {
	return s.write(ctx, func(t *tx) error {
		if _, ok := s.sessions[d]; !ok {
			return storage.ErrNotFound
		}
		s.dropSession(t, d)
		return nil
	})
}

// ListSessions implements storage.SessionList.
func (s *Store) ListSessions(ctx context.Context, subject string, limit int) (list []storage.Session, err error) {
	err = s.read(ctx, func() error {
		for d := range s.userSessions[subject] {
			if v := s.sessions[d]; v.Epoch == s.epochOf(subject) {
				v.Data = nil
				list = append(list, copySession(v))
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b storage.Session) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), strings.Compare(a.ID, b.ID))
	})
	return list[:min(max(limit, 0), len(list))], err
}

// CountSessions implements storage.SessionCount.
func (s *Store) CountSessions(ctx context.Context, subject string) (n int, err error) {
	err = s.read(ctx, func() error {
		for d := range s.userSessions[subject] {
			if s.sessions[d].Epoch == s.epochOf(subject) {
				n++
			}
		}
		return nil
	})
	return n, err
}

// SessionByID implements storage.SessionList.
func (s *Store) SessionByID(ctx context.Context, subject, id string) (v storage.Session, err error) {
	err = s.read(ctx, func() error {
		d, ok := s.sessionIDs[id]
		if v = s.sessions[d]; !ok || subject == "" || v.Subject != subject || v.Epoch != s.epochOf(subject) {
			v = storage.Session{}
			return storage.ErrNotFound
		}
		v.Data = nil
		v = copySession(v)
		return nil
	})
	return v, err
}

// DeleteSessionOf implements storage.SessionList.
func (s *Store) DeleteSessionOf(ctx context.Context, subject, id string) error {
	return s.write(ctx, func(t *tx) error {
		d, ok := s.sessionIDs[id]
		if !ok || subject == "" || s.sessions[d].Subject != subject {
			return storage.ErrNotFound
		}
		s.dropSession(t, d)
		return nil
	})
}

// DeleteSessionsOf implements storage.SessionList.
func (s *Store) DeleteSessionsOf(ctx context.Context, subject, keep string) (int, error) {
	return s.count(ctx, func(t *tx) (n int) {
		for d := range s.userSessions[subject] {
			if id := s.sessions[d].ID; keep == "" || id != keep {
				s.dropSession(t, d)
				n++
			}
		}
		return n
	})
}

// DeleteSeries implements storage.SessionList.
func (s *Store) DeleteSeries(ctx context.Context, subject, series, keep string) (int, error) {
	if storage.CheckSeries(series) != nil {
		return 0, nil
	}
	return s.count(ctx, func(t *tx) (n int) {
		for d := range s.userSessions[subject] {
			if id := s.sessions[d].ID; strings.HasPrefix(id, series+".") && (keep == "" || id != keep) {
				s.dropSession(t, d)
				n++
			}
		}
		return n
	})
}
