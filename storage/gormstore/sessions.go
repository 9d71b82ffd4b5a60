package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	sessionColumns = "t.id, COALESCE(t.subject, ''), t.epoch, t.version, t.created_us, t.auth_time_us, t.last_seen_us, t.expires_us, t.ends_us, t.user_agent, t.address, t.acr, t.amr"
	ofSubject      = " FROM vestibule_sessions t WHERE t.subject = ? AND t.epoch = {epoch}"
	liveSessions   = "SELECT " + sessionColumns + ", t.digest" + ofSubject
	countSessions  = "SELECT COUNT(*)" + ofSubject
	listSessions   = liveSessions + " ORDER BY t.last_seen_us DESC, t.id LIMIT ?"
	sessionByID    = liveSessions + " AND t.id = ?"
	// The IDs of a series begin with the series and a dot. In byte order they come before the
	// series and a slash, the character after the dot.
	inSeries      = "subject = ? AND id >= ? AND id < ? AND id <> ?"
	insertSession = "INSERT INTO vestibule_sessions (digest, id, subject, epoch, data, version, created_us, auth_time_us, last_seen_us, expires_us, ends_us, user_agent, address, acr, amr)" +
		" VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
	saveSession = "UPDATE vestibule_sessions SET data = ?, version = version + 1 WHERE digest = ? AND version = ?"
	// expires_us never moves back or beyond ends_us.
	touchSession = "UPDATE vestibule_sessions SET last_seen_us = ?, expires_us = CASE WHEN expires_us >= ? THEN expires_us" +
		" WHEN ends_us >= ? THEN ? WHEN ends_us > expires_us THEN ends_us ELSE expires_us END" +
		" WHERE digest = ? AND expires_us > ? AND ends_us > ? AND last_seen_us <= ?"
	// expires_us moves back too, because a clock that was ahead wrote it.
	correctSession = "UPDATE vestibule_sessions SET last_seen_us = ?, expires_us = CASE WHEN ends_us >= ? THEN ? ELSE ends_us END" +
		" WHERE digest = ? AND expires_us > ? AND ends_us > ? AND last_seen_us > ? AND last_seen_us <= ?"
	endSession = "DELETE FROM vestibule_sessions WHERE digest = ?"
)

// sessionRow is a row of sessionColumns.
type sessionRow struct {
	v                                          storage.Session
	created, authTime, lastSeen, expires, ends int64
	amr                                        *string
}

func (r *sessionRow) dest() []any {
	return []any{&r.v.ID, &r.v.Subject, &r.v.Epoch, &r.v.Version, &r.created, &r.authTime, &r.lastSeen, &r.expires, &r.ends, &r.v.UserAgent, &r.v.Address, &r.v.ACR, &r.amr}
}

func (r *sessionRow) session() storage.Session {
	r.v.Created, r.v.AuthTime, r.v.LastSeen = timeOf(r.created), timeOf(r.authTime), timeOf(r.lastSeen)
	r.v.Expires, r.v.Ends, r.v.AMR = timeOf(r.expires), timeOf(r.ends), words(r.amr)
	return r.v
}

// SessionByDigest implements storage.Sessions with one prepared query.
func (s *Store) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	if err := s.bound(ctx); err != nil {
		return storage.Session{}, storage.User{}, err
	}
	var r struct {
		t sessionRow
		u userRow
	}
	t, u := &r.t, &r.u
	err := s.hotRow(ctx, &s.sessionByDigest, []any{d[:]}, []any{
		&t.v.ID, &t.v.Subject, &t.v.Epoch, &t.v.Version, &t.created, &t.authTime, &t.lastSeen, &t.expires, &t.ends, &t.v.UserAgent, &t.v.Address, &t.v.ACR, &t.amr, &t.v.Data,
		&u.u.ID, &u.u.Name, &u.u.Email, &u.hash, &u.u.Active, &u.roles, &u.created, u.epoch(),
	})
	if err != nil {
		return storage.Session{}, storage.User{}, notFound(err)
	}
	t.v.Digest = d
	switch {
	case !s.users.held(&t.v.Subject):
		return storage.Session{}, storage.User{}, storage.ErrNotFound
	case t.v.Subject == "":
		return t.session(), storage.User{}, nil
	case u.u.ID != t.v.Subject: // the account was deleted, or see UserByID
		return storage.Session{}, storage.User{}, storage.ErrNotFound
	}
	return t.session(), s.account(u), nil
}

// CreateSession implements storage.Sessions.
func (s *Store) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	if err := v.Check(); err != nil {
		return err
	}
	if err := s.bound(ctx); err != nil {
		return err
	}
	if v.Subject == "" && replaces.IsZero() { // a logout may replace a session, so it is not limited
		if err := s.checkReserve(); err != nil {
			return err
		}
	}
	err := s.atomically(ctx, func(ctx context.Context) error {
		if v.Subject != "" {
			if err := s.lockHolder(ctx, v.Subject, v.Epoch); err != nil {
				return err
			}
		}
		if !replaces.IsZero() {
			if err := s.replaceSession(ctx, replaces, v.Version); err != nil {
				return err
			}
		}
		n, err := s.exec(ctx, s.dialect.bind(insertSession), v.Digest[:], v.ID, s.users.holder(v.Subject), v.Epoch, v.Data,
			micros(v.Created), micros(v.AuthTime), micros(v.LastSeen), micros(v.Expires), micros(v.Ends), v.UserAgent, v.Address, v.ACR, text(v.AMR))
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	})
	return s.swept(ctx, &s.short.sessions, v.Created, err)
}

// replaceSession deletes the session if it has that version; 0 means any.
func (s *Store) replaceSession(ctx context.Context, d storage.Digest, version int64) error {
	if version == 0 {
		return s.DeleteSession(ctx, d)
	}
	n, err := s.exec(ctx, s.dialect.bind(endSession+" AND version = ?"), d[:], version)
	if err != nil || n > 0 {
		return err
	}
	return s.otherVersion(ctx, d)
}

// otherVersion returns the error of a change that found no session with its digest and version.
func (s *Store) otherVersion(ctx context.Context, d storage.Digest) error {
	var one int
	if err := s.row(ctx, s.dialect.bind("SELECT 1 FROM vestibule_sessions WHERE digest = ?"), []any{d[:]}, []any{&one}); err != nil {
		return notFound(err)
	}
	return storage.ErrConflict
}

// SaveSession implements storage.Sessions.
func (s *Store) SaveSession(ctx context.Context, d storage.Digest, version int64, data []byte) error {
	if err := storage.CheckSessionData(data); err != nil {
		return err
	}
	n, err := s.exec(ctx, s.dialect.bind(saveSession), data, d[:], version)
	if err != nil || n > 0 {
		return err
	}
	return s.otherVersion(ctx, d)
}

// TouchSession implements storage.Sessions.
func (s *Store) TouchSession(ctx context.Context, d storage.Digest, seen, expires, before time.Time) (bool, error) {
	at, to := micros(seen), micros(expires)
	query, args := touchSession, []any{at, to, to, to, d[:], at, at, micros(before)}
	if before.After(seen) {
		query, args = correctSession, []any{at, to, to, d[:], at, at, at, micros(before)}
	}
	n, err := s.exec(ctx, s.dialect.bind(query), args...)
	return n > 0, err
}

// DeleteSession implements storage.Sessions.
func (s *Store) DeleteSession(ctx context.Context, d storage.Digest) error {
	n, err := s.exec(ctx, s.dialect.bind(endSession), d[:])
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	return err
}

// ListSessions implements storage.SessionList.
func (s *Store) ListSessions(ctx context.Context, subject string, limit int) ([]storage.Session, error) {
	return s.sessions(ctx, s.q.listSessions, subject, max(limit, 0))
}

// CountSessions implements storage.SessionCount.
func (s *Store) CountSessions(ctx context.Context, subject string) (n int, err error) {
	if s.users.mine(subject) != nil {
		return 0, nil
	}
	err = s.row(ctx, s.q.countSessions, []any{subject, subject}, []any{&n})
	return n, err
}

// SessionByID implements storage.SessionList.
func (s *Store) SessionByID(ctx context.Context, subject, id string) (storage.Session, error) {
	if storage.CheckID("session id", id) != nil {
		return storage.Session{}, storage.ErrNotFound
	}
	list, err := s.sessions(ctx, s.q.sessionByID, subject, id)
	switch {
	case err != nil:
		return storage.Session{}, err
	case len(list) == 0:
		return storage.Session{}, storage.ErrNotFound
	}
	return list[0], nil
}

// sessions reads sessions of a subject. last is the last argument of query.
func (s *Store) sessions(ctx context.Context, query, subject string, last any) (list []storage.Session, err error) {
	if s.users.mine(subject) != nil {
		return nil, nil
	}
	err = s.rows(ctx, query, []any{subject, subject, last}, func(rows *sql.Rows) error {
		var r sessionRow
		var digest []byte
		if err := rows.Scan(append(r.dest(), &digest)...); err != nil {
			return err
		}
		d, err := digestOf(digest)
		r.v.Digest = d
		list = append(list, r.session())
		return err
	})
	return list, err
}

// DeleteSessionOf implements storage.SessionList.
func (s *Store) DeleteSessionOf(ctx context.Context, subject, id string) error {
	if s.users.mine(subject) != nil || storage.CheckID("session id", id) != nil {
		return storage.ErrNotFound
	}
	// CreateSession replaces a row with one with the same ID. A DELETE in PostgreSQL that waited for
	// the old row does not see the new one, so another statement checks for it.
	const where = " FROM vestibule_sessions WHERE subject = ? AND id = ?"
	for {
		n, err := s.exec(ctx, s.dialect.bind("DELETE"+where), subject, id)
		if err != nil || n > 0 {
			return err
		}
		var one int
		switch err := s.row(ctx, s.dialect.bind("SELECT 1"+where), []any{subject, id}, []any{&one}); {
		case errors.Is(err, sql.ErrNoRows):
			return storage.ErrNotFound
		case err != nil:
			return err
		}
	}
}

// DeleteSessionsOf implements storage.SessionList.
func (s *Store) DeleteSessionsOf(ctx context.Context, subject, keep string) (int, error) {
	if s.users.mine(subject) != nil {
		return 0, nil
	}
	if storage.CheckID("session id", keep) != nil {
		keep = "" // no session has this ID
	}
	return s.all(ctx, subject, "", rowSet{"vestibule_sessions", "digest", "subject = ? AND id <> ?", []any{subject, keep}})
}

// DeleteSeries implements storage.SessionList.
func (s *Store) DeleteSeries(ctx context.Context, subject, series, keep string) (int, error) {
	if s.users.mine(subject) != nil || storage.CheckSeries(series) != nil {
		return 0, nil
	}
	if storage.CheckID("session id", keep) != nil {
		keep = "" // no session has this ID
	}
	return s.all(ctx, subject, "", rowSet{"vestibule_sessions", "digest", inSeries, []any{subject, series + ".", series + "/", keep}})
}
