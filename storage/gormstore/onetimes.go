package gormstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	insertOneTime = "INSERT INTO vestibule_onetimes (digest, purpose, subject, epoch, bound, created_us, expires_us) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
	listOneTimes  = "SELECT digest, purpose, epoch, bound, created_us, expires_us FROM vestibule_onetimes WHERE subject = ?"
	takeOneTime   = "DELETE FROM vestibule_onetimes WHERE digest = ? AND subject = ? AND purpose = ?"
	dropOneTimes  = "DELETE FROM vestibule_onetimes WHERE subject = ? AND purpose = ?"
)

// OneTimeTokenByDigest implements storage.OneTimeTokens.
func (s *Store) OneTimeTokenByDigest(ctx context.Context, d storage.Digest) (storage.OneTimeToken, storage.User, error) {
	if err := s.bound(ctx); err != nil {
		return storage.OneTimeToken{}, storage.User{}, err
	}
	t := storage.OneTimeToken{Digest: d}
	var u userRow
	var bound []byte
	var created, expires int64
	dest := append([]any{&t.Purpose, &t.Subject, &t.Epoch, &bound, &created, &expires}, u.dest()...)
	if err := s.row(ctx, s.q.oneTimeByDigest, []any{d[:]}, dest); err != nil {
		return storage.OneTimeToken{}, storage.User{}, notFound(err)
	}
	if u.u.ID != t.Subject || len(bound) != len(t.Bound) { // see UserByID
		return storage.OneTimeToken{}, storage.User{}, storage.ErrNotFound
	}
	copy(t.Bound[:], bound)
	t.Created, t.Expires = timeOf(created), timeOf(expires)
	return t, s.account(&u), nil
}

// CreateOneTimeToken implements storage.OneTimeTokens.
func (s *Store) CreateOneTimeToken(ctx context.Context, t storage.OneTimeToken) error {
	if err := t.Check(); err != nil {
		return err
	}
	err := s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockHolder(ctx, t.Subject, t.Epoch); err != nil {
			return err
		}
		if err := s.DeleteOneTimeTokens(ctx, t.Subject, t.Purpose); err != nil {
			return err
		}
		n, err := s.exec(ctx, s.dialect.bind(insertOneTime), t.Digest[:], t.Purpose, t.Subject, t.Epoch, t.Bound[:], micros(t.Created), micros(t.Expires))
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	})
	return s.swept(ctx, &s.short.onetimes, t.Created, err)
}

// ConsumeOneTimeToken implements storage.OneTimeTokens. It locks the account first, as
// CreateOneTimeToken does, so that the two cannot deadlock.
func (s *Store) ConsumeOneTimeToken(ctx context.Context, t storage.OneTimeToken) error {
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockHolder(ctx, t.Subject, t.Epoch); err != nil {
			return err
		}
		n, err := s.exec(ctx, s.dialect.bind(takeOneTime), t.Digest[:], t.Subject, t.Purpose)
		if err == nil && n == 0 {
			err = storage.ErrNotFound
		}
		return err
	})
}

// ListOneTimes implements storage.OneTimeTokens.
func (s *Store) ListOneTimes(ctx context.Context, subject string) (list []storage.OneTimeToken, err error) {
	if s.users.mine(subject) != nil {
		return nil, nil
	}
	err = s.rows(ctx, s.dialect.bind(listOneTimes), []any{subject}, func(rows *sql.Rows) error {
		t := storage.OneTimeToken{Subject: subject}
		var digest, bound []byte
		var created, expires int64
		if err := rows.Scan(&digest, &t.Purpose, &t.Epoch, &bound, &created, &expires); err != nil {
			return err
		}
		copy(t.Digest[:], digest)
		copy(t.Bound[:], bound)
		t.Created, t.Expires = timeOf(created), timeOf(expires)
		list = append(list, t)
		return nil
	})
	return list, err
}

// DeleteOneTimeTokens implements storage.OneTimeTokens.
func (s *Store) DeleteOneTimeTokens(ctx context.Context, subject, purpose string) error {
	if errors.Join(s.users.mine(subject), storage.CheckID("purpose", purpose)) != nil {
		return nil
	}
	_, err := s.exec(ctx, s.dialect.bind(dropOneTimes), subject, purpose)
	return err
}
