package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/vestibule-auth/vestibule/storage"
)

// tokenRow is a row of the token columns.
type tokenRow struct {
	t       storage.StaticToken
	digest  []byte
	created int64
}

func (r *tokenRow) dest() []any {
	return []any{&r.t.Subject, &r.digest, &r.t.Salt, &r.t.KeyID, &r.t.Epoch, &r.created}
}

func (r *tokenRow) token() (storage.StaticToken, error) {
	if len(r.digest) != len(r.t.Digest) {
		return storage.StaticToken{}, fmt.Errorf("gormstore: a digest of %d bytes", len(r.digest))
	}
	r.t.Digest = storage.Digest(r.digest)
	r.t.Created = timeOf(r.created)
	return r.t, nil
}

// StaticTokenByDigest implements storage.StaticTokens with one prepared query.
func (s *Store) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	ctx, cancel, err := s.forHotRead(ctx)
	if err != nil {
		return storage.StaticToken{}, storage.User{}, err
	}
	defer cancel()
	var row *sql.Row
	if s.tx(ctx) != nil {
		row = s.pool(ctx).QueryRowContext(ctx, s.q.tokenByDigest, d[:])
	} else {
		stmt, err := s.hot(ctx)
		if err != nil {
			return storage.StaticToken{}, storage.User{}, err
		}
		row = stmt.QueryRowContext(ctx, d[:])
	}
	var r struct {
		t tokenRow
		u userRow
	}
	t, u := &r.t, &r.u
	err = row.Scan(&t.t.Subject, &t.digest, &t.t.Salt, &t.t.KeyID, &t.t.Epoch, &t.created,
		&u.u.ID, &u.u.Name, &u.u.Email, &u.hash, &u.u.Active, &u.roles, &u.created, &u.u.Epoch)
	if err != nil {
		s.outdated(err)
		return storage.StaticToken{}, storage.User{}, notFound(err)
	}
	token, err := t.token()
	if err != nil {
		return storage.StaticToken{}, storage.User{}, err
	}
	if u.u.ID != token.Subject { // see UserByID
		return storage.StaticToken{}, storage.User{}, storage.ErrNotFound
	}
	return token, u.user(), nil
}

// forHotRead bounds a read by the timeout. SQLite needs no bound while there is a
// connection to spare: in WAL mode nothing keeps a reader waiting, but its driver
// starts a goroutine for each query whose context can end, which costs as much as
// the query.
func (s *Store) forHotRead(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if s.dialect == sqlite && s.hasSpare(ctx) {
		return context.WithoutCancel(ctx), func() {}, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	return ctx, cancel, nil
}

// hasSpare reports whether a statement need not wait for a connection: a
// transaction has its own.
func (s *Store) hasSpare(ctx context.Context) bool {
	if s.tx(ctx) != nil {
		return true
	}
	pool := s.sql.Stats()
	return pool.MaxOpenConnections == 0 || pool.InUse < pool.MaxOpenConnections
}

// hot returns the prepared query, which lives as long as the store: database/sql
// prepares it again on each connection that needs it. Nobody waits for another's
// preparing, which may hang as long as the database does.
func (s *Store) hot(ctx context.Context) (*sql.Stmt, error) {
	if stmt := s.byDigest.Load(); stmt != nil {
		return stmt, nil
	}
	stmt, err := s.sql.PrepareContext(ctx, s.q.tokenByDigest)
	if err != nil {
		return nil, err
	}
	if !s.byDigest.CompareAndSwap(nil, stmt) {
		_ = stmt.Close() // somebody else was first; this one was never used
		if stmt = s.byDigest.Load(); stmt == nil {
			return nil, sql.ErrConnDone // the store was closed
		}
	}
	return stmt, nil
}

// outdated drops the prepared query where a column has another type since then:
// PostgreSQL refuses it for as long as it is prepared.
func (s *Store) outdated(err error) {
	const featureNotSupported = "0A000" // "cached plan must not change result type"
	var e interface{ SQLState() string }
	if !errors.As(err, &e) || e.SQLState() != featureNotSupported {
		return
	}
	if stmt := s.byDigest.Swap(nil); stmt != nil {
		_ = stmt.Close()
	}
}

// StaticTokenOf implements storage.StaticTokens.
func (s *Store) StaticTokenOf(ctx context.Context, subject string) (storage.StaticToken, error) {
	if storage.CheckID("subject", subject) != nil {
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
	var one int
	err = notFound(s.row(ctx, s.q.mayHold, []any{t.Subject, t.Epoch}, []any{&one}))
	switch err {
	case nil:
		return storage.ErrConflict
	case storage.ErrNotFound:
		return storage.ErrStale
	}
	return err
}

// DeleteStaticToken implements storage.StaticTokens.
func (s *Store) DeleteStaticToken(ctx context.Context, d storage.Digest) error {
	return s.drop(ctx, s.q.dropToken, d[:])
}

// DeleteStaticTokenOf implements storage.StaticTokens.
func (s *Store) DeleteStaticTokenOf(ctx context.Context, subject string) error {
	if storage.CheckID("subject", subject) != nil {
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
