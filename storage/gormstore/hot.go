package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"time"
)

// hot is a statement for which an authenticated request waits. With SQLite it is prepared at its
// first use and kept as long as the store; database/sql prepares it again on each connection. With
// PostgreSQL the driver caches prepared statements, unless the database URL turns that off, so this
// package does not prepare any.
type hot struct {
	query string
	stmt  atomic.Pointer[sql.Stmt]
}

// hotRow reads the single row of a hot statement.
func (s *Store) hotRow(ctx context.Context, h *hot, args, dest []any) error {
	ctx, cancel, err := s.forHotRead(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if s.dialect == postgres {
		return s.rowOfPrimary(ctx, h.query, args, dest)
	}
	begun := s.begin()
	var row *sql.Row
	switch {
	case s.tx(ctx) != nil:
		row = s.pool(ctx).QueryRowContext(ctx, h.query, args...)
	default:
		stmt, err := h.prepared(ctx, s.sql)
		if err != nil {
			s.called(ctx, begun, h.query, err)
			return err
		}
		row = stmt.QueryRowContext(ctx, args...)
	}
	err = explain(row.Scan(dest...))
	s.called(ctx, begun, h.query, err)
	return err
}

// errStandby means that a pooler or proxy sent a statement to a standby server.
var errStandby = errors.New("gormstore: the connection leads to a standby server, whose answers can be of the past (connect to the primary)")

// ofPrimary adds a first column to a SELECT of PostgreSQL that reports a standby server. Caches store
// the answer, and one of the past would be stored after the message that revoked it was applied. The
// connection proves nothing: proxies that send reads to a standby server decide for each statement.
func (d dialect) ofPrimary(query string) string {
	if d == sqlite {
		return query
	}
	return "SELECT pg_is_in_recovery(), " + strings.TrimPrefix(query, "SELECT ")
}

// rowOfPrimary reads one row of a query of ofPrimary with PostgreSQL. It returns errStandby if it ran
// on a standby server.
func (s *Store) rowOfPrimary(ctx context.Context, query string, args, dest []any) error {
	var standby bool
	columns := append(make([]any, 0, 32), &standby)
	err := s.scanned(ctx, query, args, append(columns, dest...))
	if err == nil && standby {
		err = errStandby
	}
	return err
}

// forHotRead applies the timeout to a read. With SQLite and a free connection it does not, because
// in WAL mode a reader never waits, and the driver starts a goroutine for each query whose context
// can end, which costs as much as the query.
func (s *Store) forHotRead(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if s.dialect == sqlite && s.hasSpare(ctx) {
		return context.WithoutCancel(ctx), func() {}, ctx.Err()
	}
	return s.forRead(ctx)
}

// forRead bounds a read by the timeout. A client that leaves does not end it while there is a
// connection to spare: the driver of PostgreSQL would close the connection, and anybody can leave as
// often as they like, while a new connection costs far more than the answer.
func (s *Store) forRead(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if s.dialect == postgres && s.tx(ctx) == nil && s.hasSpare(ctx) {
		end := time.Now().Add(s.timeout)
		if own, ok := ctx.Deadline(); ok && own.Before(end) {
			end = own
		}
		ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), end)
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	return ctx, cancel, nil
}

// hasSpare reports whether a statement can run without waiting for a connection. A transaction has
// its own.
func (s *Store) hasSpare(ctx context.Context) bool {
	if s.tx(ctx) != nil {
		return true
	}
	pool := s.sql.Stats()
	return pool.MaxOpenConnections == 0 || pool.InUse < pool.MaxOpenConnections
}

// prepared returns the prepared statement. Callers do not wait for each other, because preparing
// may take as long as the database hangs.
func (h *hot) prepared(ctx context.Context, pool *sql.DB) (*sql.Stmt, error) {
	if stmt := h.stmt.Load(); stmt != nil {
		return stmt, nil
	}
	stmt, err := pool.PrepareContext(ctx, h.query)
	if err != nil {
		return nil, err
	}
	if !h.stmt.CompareAndSwap(nil, stmt) {
		_ = stmt.Close() // prepared concurrently; this one is unused
		if stmt = h.stmt.Load(); stmt == nil {
			return nil, sql.ErrConnDone // the store was closed
		}
	}
	return stmt, nil
}

func (h *hot) close() error {
	if stmt := h.stmt.Swap(nil); stmt != nil {
		return stmt.Close()
	}
	return nil
}
