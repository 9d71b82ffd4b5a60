package gormstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	deviceColumns = "t.id, t.subject, t.name, t.scopes, t.epoch, t.created_us, t.expires_us, t.last_used_us, t.ttl_us, t.max_us"
	dropDevice    = "DELETE FROM vestibule_device_tokens WHERE digest = ?"
	// The tokens that count for a limit, the oldest first.
	liveDevices = "SELECT " + deviceColumns + ", t.digest FROM vestibule_device_tokens t WHERE t.subject = ? AND t.epoch = ?" +
		" AND (t.expires_us = 0 OR t.expires_us > ?) ORDER BY t.created_us, t.id"
	listDevices = "SELECT " + deviceColumns + ", t.digest FROM vestibule_device_tokens t WHERE t.subject = ? AND t.epoch = {epoch}" +
		" ORDER BY t.created_us DESC, t.id LIMIT ?"
	insertDevice = "INSERT INTO vestibule_device_tokens (digest, id, subject, name, scopes, epoch, created_us, expires_us, last_used_us, ttl_us, max_us)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
	// Expires moves forward alone, and to Max at most.
	touchDevice = "UPDATE vestibule_device_tokens SET last_used_us = ?, expires_us = CASE WHEN expires_us = 0 OR expires_us >= ? THEN expires_us" +
		" WHEN max_us = 0 OR max_us >= ? THEN ? WHEN max_us > expires_us THEN max_us ELSE expires_us END" +
		" WHERE digest = ? AND (expires_us = 0 OR expires_us > ?) AND (last_used_us = 0 OR last_used_us <= ?)"
)

// deviceRow is a row of the device columns.
type deviceRow struct {
	t                                         storage.DeviceToken
	digest                                    []byte
	scopes                                    *string
	created, expires, lastUsed, ttl, notAfter int64
}

func (r *deviceRow) dest() []any {
	return []any{&r.t.ID, &r.t.Subject, &r.t.Name, &r.scopes, &r.t.Epoch, &r.created, &r.expires, &r.lastUsed, &r.ttl, &r.notAfter, &r.digest}
}

func (r *deviceRow) token() storage.DeviceToken {
	r.t.Scopes = words(r.scopes)
	r.t.Created, r.t.Expires, r.t.LastUsed, r.t.Max = timeOf(r.created), timeOf(r.expires), timeOf(r.lastUsed), timeOf(r.notAfter)
	r.t.TTL = time.Duration(r.ttl) * time.Microsecond
	return r.t
}

// words takes a list apart; no text is nil, an empty one the empty list.
func words(text *string) []string {
	switch {
	case text == nil:
		return nil
	case *text == "":
		return []string{}
	}
	return strings.Split(*text, " ")
}

// text is the other way round.
func text(words []string) *string {
	if words == nil {
		return nil
	}
	s := strings.Join(words, " ")
	return &s
}

// DeviceTokenByDigest implements storage.DeviceTokens with one prepared query.
func (s *Store) DeviceTokenByDigest(ctx context.Context, d storage.Digest) (storage.DeviceToken, storage.User, error) {
	if err := s.bound(ctx); err != nil {
		return storage.DeviceToken{}, storage.User{}, err
	}
	var r struct {
		t deviceRow
		u userRow
	}
	t, u := &r.t, &r.u
	err := s.hotRow(ctx, &s.deviceByDigest, []any{d[:]}, []any{
		&t.t.ID, &t.t.Subject, &t.t.Name, &t.scopes, &t.t.Epoch, &t.created, &t.expires, &t.lastUsed, &t.ttl, &t.notAfter,
		&u.u.ID, &u.u.Name, &u.u.Email, &u.hash, &u.u.Active, &u.roles, &u.created, u.epoch(),
	})
	if err != nil {
		return storage.DeviceToken{}, storage.User{}, notFound(err)
	}
	t.t.Digest = d
	if u.u.ID != t.t.Subject { // see UserByID
		return storage.DeviceToken{}, storage.User{}, storage.ErrNotFound
	}
	return t.token(), s.account(u), nil
}

// ListDeviceTokens implements storage.DeviceTokens.
func (s *Store) ListDeviceTokens(ctx context.Context, subject string, limit int) ([]storage.DeviceToken, error) {
	if s.users.mine(subject) != nil {
		return nil, nil
	}
	return s.devices(ctx, s.q.listDevices, subject, subject, max(limit, 0))
}

func (s *Store) devices(ctx context.Context, query string, args ...any) (list []storage.DeviceToken, err error) {
	err = s.rows(ctx, query, args, func(rows *sql.Rows) error {
		var r deviceRow
		if err := rows.Scan(r.dest()...); err != nil {
			return err
		}
		d, err := digestOf(r.digest)
		r.t.Digest = d
		list = append(list, r.token())
		return err
	})
	return list, err
}

// CreateDeviceToken implements storage.DeviceTokens. The subject's row is locked, so
// that two that are created at once are counted one after the other.
func (s *Store) CreateDeviceToken(ctx context.Context, t storage.DeviceToken, l storage.DeviceLimit) (evicted []storage.DeviceToken, err error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	err = s.atomically(ctx, func(ctx context.Context) error {
		evicted = nil
		if err := s.lockHolder(ctx, t.Subject, t.Epoch); err != nil {
			return err
		}
		var surplus []storage.DeviceToken
		if l.Max > 0 {
			live, err := s.devices(ctx, s.dialect.bind(liveDevices), t.Subject, t.Epoch, micros(l.Now))
			if err != nil {
				return err
			}
			if len(live) >= l.Max {
				surplus = live[:len(live)-l.Max+1]
			}
		}
		if len(surplus) > 0 && !l.Evict {
			return storage.ErrLimit
		}
		n, err := s.exec(ctx, s.dialect.bind(insertDevice), t.Digest[:], t.ID, t.Subject, t.Name, text(t.Scopes), t.Epoch,
			micros(t.Created), micros(t.Expires), micros(t.LastUsed), t.TTL.Microseconds(), micros(t.Max))
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrConflict
		}
		drop := s.dialect.bind(dropDevice)
		for _, old := range surplus {
			n, err := s.exec(ctx, drop, old.Digest[:])
			if err != nil {
				return err
			}
			if n > 0 { // nobody else deleted it meanwhile
				evicted = append(evicted, old)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return evicted, nil
}

// TouchDeviceToken implements storage.DeviceTokens.
func (s *Store) TouchDeviceToken(ctx context.Context, d storage.Digest, used, expires, before time.Time) (bool, error) {
	to := micros(expires)
	n, err := s.exec(ctx, s.dialect.bind(touchDevice), micros(used), to, to, to, d[:], micros(used), micros(before))
	return n > 0, err
}

// DeleteDeviceToken implements storage.DeviceTokens.
func (s *Store) DeleteDeviceToken(ctx context.Context, subject, id string) error {
	if s.users.mine(subject) != nil || storage.CheckID("token id", id) != nil {
		return storage.ErrNotFound
	}
	n, err := s.exec(ctx, s.dialect.bind("DELETE FROM vestibule_device_tokens WHERE subject = ? AND id = ?"), subject, id)
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	return err
}

// DeleteDeviceTokensOf implements storage.DeviceTokens.
func (s *Store) DeleteDeviceTokensOf(ctx context.Context, subject, keep string) (int, error) {
	if s.users.mine(subject) != nil {
		return 0, nil
	}
	if storage.CheckID("token id", keep) != nil {
		keep = "" // which no token has
	}
	return s.all(ctx, pile{"vestibule_device_tokens", "digest", "subject = ? AND id <> ?", []any{subject, keep}})
}
