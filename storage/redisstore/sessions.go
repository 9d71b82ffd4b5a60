package redisstore

import (
	"context"
	_ "embed"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/storage"
)

// Base is the store that decides which sessions exist, such as a gormstore.Store on PostgreSQL,
// with or without a cached.Store in front.
type Base interface {
	storage.Sessions
	storage.SessionList
	storage.Subjects
}

// Sessions keeps the content of sessions in Redis, and the sessions themselves in a database. Use it
// if many requests change session data: a change costs the database no write. Create it with
// [NewSessions].
//
// The database has one row for each session: its ID, user, epoch, login time, absolute expiry, user
// agent and address. Only this row decides whether a session exists and whose it is. Redis has the
// data, its version, the last use and the idle expiry.
//
//   - A logout, a new password or a log-out-everywhere is complete when the database has recorded
//     it. A Redis that fails over or is restored from a backup cannot bring a session back.
//   - A session whose content is missing in Redis counts as logged out ([storage.ErrNotFound]).
//     This happens after FLUSHALL, and after a failover that lost a login of the last second. The
//     next use deletes the row of the session, so it stays logged out even if the content comes
//     back.
//   - Redis can return to older content. So data MUST NOT contain anything that a permission
//     depends on, such as a completed second factor: old content would bring it back. AuthTime and
//     the user are in the database.
//   - If Redis does not answer, the methods return its error, and the client gets 503.
//
// A cache (package cached) can be the base, but must never be above Sessions, because other
// replicas change the data without a message. With a cache, authentication costs one call to Redis.
//
// LastSeen and Expires in the database are usually from the login. A use is recorded there only if
// the row would otherwise be pruned too early. So do not read them from the table. If a new
// password ends several sessions, or a session ends while Redis does not answer, the content
// remains in Redis until its idle expiry. Nothing can read it through this store.
//
// Redis takes no part in transactions of the database. A rollback does not undo saved data.
//
// Sessions forwards the methods of storage.Subjects to the database. Take other parts, such as
// storage.Families for remembered logins and storage.Permissions, from the database:
//
//	rows := struct {
//		*redisstore.Sessions
//		storage.Families
//		storage.Permissions
//	}{sessions, db, db}
type Sessions struct {
	storage.Subjects
	s    *Store
	base Base
}

var _ Base = (*Sessions)(nil)

// NewSessions returns sessions whose content is in s. base decides which sessions exist. It returns
// an error if one of them is nil.
func NewSessions(s *Store, base Base) (*Sessions, error) {
	if s == nil || base == nil {
		return nil, errors.New("redisstore: NewSessions: store and base must be set")
	}
	return &Sessions{base, s, base}, nil
}

var (
	//go:embed create.lua
	createSource string
	//go:embed save.lua
	saveSource string
	//go:embed touch.lua
	touchSource string

	createScript, saveScript, touchScript = newScript(createSource), newScript(saveSource), newScript(touchSource)
)

// Content is a hash with these fields; times are microseconds since 1970, and 0 is the zero time.
const (
	fieldData    = "d"
	fieldVersion = "v"
	fieldSeen    = "s" // LastSeen
	fieldExpires = "e"
	fieldEnds    = "n"
	fieldUntil   = "u" // when the database may prune the row; never before fieldExpires
)

// margin is how long content remains after its expiry, so that a clock which is set back by up to an
// hour logs nobody out.
const margin = storage.LoginClockSkew

func (s *Sessions) key(d storage.Digest) string { return s.s.prefix + "s:" + text(d[:]) }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// SessionByDigest implements [storage.Sessions]. It reads the database first, so a session that
// ended costs no call to Redis.
func (s *Sessions) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	v, u, err := s.base.SessionByDigest(ctx, d)
	if err != nil {
		return storage.Session{}, storage.User{}, err
	}
	cmd := redis.NewSliceCmd(ctx, "hmget", s.key(d), fieldVersion, fieldSeen, fieldExpires, fieldData)
	err = named("SessionByDigest", s.s.call(ctx, cmd))
	if err == nil {
		err = overlay(&v, cmd.Val())
	}
	if errors.Is(err, storage.ErrNotFound) { // it counts as logged out, also if content comes back
		if err := s.base.DeleteSession(ctx, d); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return storage.Session{}, storage.User{}, err
		}
	}
	if err != nil {
		return storage.Session{}, storage.User{}, err
	}
	return v, u, nil
}

// overlay sets the fields of v that are in Redis: version, last use, expiry and, if there is a fourth
// value, the data. It returns ErrNotFound if there is no content.
func overlay(v *storage.Session, values []any) error {
	if len(values) < 3 || values[0] == nil {
		return storage.ErrNotFound
	}
	var n [3]int64
	for i := range n {
		text, ok := values[i].(string)
		var err error
		if n[i], err = strconv.ParseInt(text, 10, 64); !ok || err != nil {
			return named("session", errAnswer)
		}
	}
	v.Version, v.LastSeen, v.Expires = n[0], timeOf(n[1]), timeOf(n[2])
	if v.Expires.After(v.Ends) {
		v.Expires = v.Ends
	}
	v.Data = nil
	if len(values) > 3 {
		if data, ok := values[3].(string); ok && data != "" {
			v.Data = []byte(data)
		}
	}
	return nil
}

// CreateSession implements [storage.Sessions].
func (s *Sessions) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	if err := v.Check(); err != nil {
		return err
	}
	taken := !replaces.IsZero() && v.Version != 0 // the caller has read the data of the old session
	if taken {
		if err := s.isVersion(ctx, replaces, v.Version); err != nil {
			return err
		}
	}
	// Redis comes first: if it fails, the session that is replaced remains.
	idle := between(v.LastSeen, v.Expires)
	row := v
	row.Data, row.Expires = nil, earlier(v.Expires.Add(idle), v.Ends)
	row.Version = 0 // the base knows only the version of the login
	args := []any{"", micros(v.LastSeen), micros(v.Expires), micros(v.Ends), micros(row.Expires), (idle + margin).Milliseconds(), v.Data}
	for _, mode := range []string{"", "replace"} {
		args[0] = mode
		cmd, err := s.s.run(ctx, "CreateSession", createScript, []string{s.key(v.Digest)}, args)
		if err != nil {
			return err
		}
		if n, err := cmd.Int(); err != nil {
			return named("CreateSession", errAnswer)
		} else if n == 1 {
			break
		}
		// There is content for the digest. Without a row it was left over, and can be replaced.
		if _, _, err := s.base.SessionByDigest(ctx, v.Digest); !errors.Is(err, storage.ErrNotFound) {
			if err == nil {
				err = storage.ErrConflict
			}
			return err
		}
	}
	if err := s.base.CreateSession(ctx, row, replaces); err != nil {
		s.forget(ctx, v.Digest)
		return err
	}
	switch {
	case taken:
		s.carry(ctx, replaces, v.Version, v.Digest)
	case !replaces.IsZero():
		s.forget(ctx, replaces)
	}
	return nil
}

// between returns the time from one moment to another, at least 0. The upper bound prevents overflows
// for a session without a last use.
func between(from, to time.Time) time.Duration {
	return min(max(to.Sub(from), 0), 10*365*24*time.Hour)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// forget deletes content that no row refers to any more. An error does not matter: the content
// expires, and cannot be read. In a transaction it does nothing, because a rollback would bring the
// row back.
func (s *Sessions) forget(ctx context.Context, list ...storage.Digest) {
	if len(list) == 0 || s.inTransaction(ctx) {
		return
	}
	ctx = context.WithoutCancel(ctx)
	_ = s.s.pipelined(ctx, func(p redis.Pipeliner) {
		for _, d := range list {
			p.Unlink(ctx, s.key(d))
		}
	})
}

// SaveSession implements [storage.Sessions].
func (s *Sessions) SaveSession(ctx context.Context, d storage.Digest, version int64, data []byte) error {
	if err := storage.CheckSessionData(data); err != nil {
		return err
	}
	// The row decides whether the session exists. Content can outlive it.
	if _, _, err := s.base.SessionByDigest(ctx, d); err != nil {
		return err
	}
	cmd, err := s.s.run(ctx, "SaveSession", saveScript, []string{s.key(d)}, []any{version, version + 1, data})
	if err != nil {
		return err
	}
	switch n, err := cmd.Int(); {
	case err == nil && n == saved:
		return nil
	case err == nil && n == absent:
		return storage.ErrNotFound
	case err == nil && n == otherVersion:
		return storage.ErrConflict
	}
	return named("SaveSession", errAnswer)
}

// Results of save.lua and touch.lua.
const (
	absent       = 0 // or, for touch.lua, nothing to record
	saved        = 1
	otherVersion = 2
	extendFirst  = 2 // the row must be kept for longer first
)

// TouchSession implements [storage.Sessions].
func (s *Sessions) TouchSession(ctx context.Context, d storage.Digest, seen, expires, before time.Time) (bool, error) {
	idle := between(seen, expires)
	until := ""
	for range 2 {
		cmd, err := s.s.run(ctx, "TouchSession", touchScript, []string{s.key(d)}, []any{micros(seen), micros(expires), micros(before), until, margin.Milliseconds()})
		if err != nil {
			return false, err
		}
		n, err := cmd.Int()
		if err != nil || n < absent || n > extendFirst {
			return false, named("TouchSession", errAnswer)
		}
		if n != extendFirst {
			return n == saved, nil
		}
		// The row would be pruned before the session expires, so its expiry moves ahead of the
		// session's. This happens once in an idle time.
		at := expires.Add(idle)
		last := seen
		if before.After(seen) {
			last = before
		}
		extended, err := s.base.TouchSession(ctx, d, seen, at, last)
		if err != nil {
			return false, err
		}
		until = "as it is"
		if extended {
			until = strconv.FormatInt(micros(at), 10)
		}
	}
	return false, named("TouchSession", errAnswer)
}

// DeleteSession implements [storage.Sessions]. The session ends when the database deletes it; after
// that, an error of Redis is ignored.
func (s *Sessions) DeleteSession(ctx context.Context, d storage.Digest) error {
	err := s.base.DeleteSession(ctx, d)
	if err == nil || errors.Is(err, storage.ErrNotFound) {
		s.forget(ctx, d)
	}
	return err
}
