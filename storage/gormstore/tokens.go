package gormstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/vestibule-auth/vestibule/storage"
)

// tokenRow is a row of the static token columns.
type tokenRow struct {
	t       storage.StaticToken
	digest  []byte
	created int64
}

func (r *tokenRow) dest() []any {
	return []any{&r.t.Subject, &r.digest, &r.t.Salt, &r.t.KeyID, &r.t.Epoch, &r.created}
}

func (r *tokenRow) token() (storage.StaticToken, error) {
	d, err := digestOf(r.digest)
	if err != nil {
		return storage.StaticToken{}, err
	}
	r.t.Digest, r.t.Created = d, timeOf(r.created)
	return r.t, nil
}

func digestOf(b []byte) (d storage.Digest, err error) {
	if len(b) != len(d) {
		return d, fmt.Errorf("gormstore: digest of %d bytes", len(b))
	}
	return storage.Digest(b), nil
}

// StaticTokenByDigest implements storage.StaticTokens with one prepared query.
func (s *Store) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	if err := s.bound(ctx); err != nil {
		return storage.StaticToken{}, storage.User{}, err
	}
	var r struct {
		t tokenRow
		u userRow
	}
	t, u := &r.t, &r.u
	err := s.hotRow(ctx, &s.tokenByDigest, []any{d[:]}, []any{
		&t.t.Subject, &t.digest, &t.t.Salt, &t.t.KeyID, &t.t.Epoch, &t.created,
		&u.u.ID, &u.u.Name, &u.u.Email, &u.hash, &u.u.Active, &u.roles, &u.created, u.epoch(),
	})
	if err != nil {
		return storage.StaticToken{}, storage.User{}, notFound(err)
	}
	token, err := t.token()
	if err != nil {
		return storage.StaticToken{}, storage.User{}, err
	}
	if u.u.ID != token.Subject { // see UserByID
		return storage.StaticToken{}, storage.User{}, storage.ErrNotFound
	}
	return token, s.account(u), nil
}

// StaticTokenOf implements storage.StaticTokens.
func (s *Store) StaticTokenOf(ctx context.Context, subject string) (storage.StaticToken, error) {
	if s.users.mine(subject) != nil {
		return storage.StaticToken{}, storage.ErrNotFound
	}
	var r tokenRow
	if err := s.row(ctx, s.q.tokenOf, []any{subject}, r.dest()); err != nil {
		return storage.StaticToken{}, notFound(err)
	}
	return r.token()
}

// PutStaticToken implements storage.StaticTokens.
func (s *Store) PutStaticToken(ctx context.Context, t storage.StaticToken, old storage.Digest) error {
	if err := storage.CheckID("subject", t.Subject); err != nil {
		return err
	}
	if !s.users.has(t.Subject) {
		return storage.ErrStale
	}
	if err := s.bound(ctx); err != nil {
		return err
	}
	var n int64
	var err error
	if old.IsZero() {
		n, err = s.exec(ctx, s.q.insertToken, t.Subject, t.Digest[:], t.Salt, t.KeyID, t.Epoch, micros(t.Created), t.Subject, t.Epoch)
	} else {
		n, err = s.exec(ctx, s.q.replaceToken, t.Digest[:], t.Salt, t.KeyID, t.Epoch, micros(t.Created), t.Subject, old[:], t.Digest[:], t.Subject, t.Epoch)
	}
	switch {
	case isUnique(err):
		return storage.ErrConflict
	case err != nil || n == 1:
		return err
	}
	if err := s.mayHold(ctx, t.Subject, t.Epoch); err != nil {
		return err
	}
	return storage.ErrConflict
}

// DeleteStaticToken implements storage.StaticTokens.
func (s *Store) DeleteStaticToken(ctx context.Context, d storage.Digest) error {
	return s.drop(ctx, s.q.dropToken, d[:])
}

// DeleteStaticTokenOf implements storage.StaticTokens.
func (s *Store) DeleteStaticTokenOf(ctx context.Context, subject string) error {
	if s.users.mine(subject) != nil {
		return storage.ErrNotFound
	}
	return s.drop(ctx, s.q.dropTokenOf, subject)
}

func (s *Store) drop(ctx context.Context, query string, key any) error {
	n, err := s.exec(ctx, query, key)
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	return err
}

// ListStaticTokens implements storage.StaticTokens.
func (s *Store) ListStaticTokens(ctx context.Context, after string, limit int) (list []storage.StaticToken, err error) {
	err = s.rows(ctx, s.q.listTokens, []any{after, max(limit, 0)}, func(rows *sql.Rows) error {
		var r tokenRow
		if err := rows.Scan(r.dest()...); err != nil {
			return err
		}
		t, err := r.token()
		list = append(list, t)
		return err
	})
	return list, err
}
