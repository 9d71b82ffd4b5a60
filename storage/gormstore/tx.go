package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"
)

type txKey struct{ *Store }

// InTx implements [storage.Transactor]. Within fn, DB returns gorm's handle of the transaction, so
// that the application's own statements can belong to it.
func (s *Store) InTx(ctx context.Context, fn func(context.Context) error) error {
	return s.inTx(ctx, fn, nil)
}

// InRetriedTx implements [storage.Retrier]. With PostgreSQL it runs at the isolation level READ
// COMMITTED, whatever the default of the database is.
func (s *Store) InRetriedTx(ctx context.Context, fn func(context.Context) error) error {
	return s.atomically(ctx, fn)
}

func (s *Store) inTx(ctx context.Context, fn func(context.Context) error, isolation *sql.TxOptions) error {
	if s.tx(ctx) != nil {
		return fn(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*s.timeout)
	defer cancel()
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	begun, own := s.begin(), error(nil)
	err = explain(s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		ctx := context.WithValue(ctx, txKey{s}, tx)
		if err := s.takeWriteLock(ctx); err != nil {
			return err
		}
		own = fn(ctx)
		return own
	}, isolation))
	s.transacted(ctx, begun, err, own)
	return err
}

// DB returns gorm's handle of the transaction that ctx carries, or of the database. Like the store,
// it logs nothing.
func (s *Store) DB(ctx context.Context) *gorm.DB {
	if tx := s.tx(ctx); tx != nil {
		return tx.WithContext(ctx)
	}
	return s.db.WithContext(ctx)
}

// WithTx returns a context for calls of the store in a transaction that the application began with
// gorm on the same database. To let the store begin it, use [Store.InTx].
func (s *Store) WithTx(ctx context.Context, tx *gorm.DB) context.Context {
	return context.WithValue(ctx, txKey{s}, tx)
}

func (s *Store) tx(ctx context.Context) *gorm.DB {
	tx, _ := ctx.Value(txKey{s}).(*gorm.DB)
	return tx
}

// InTransaction reports whether ctx carries a transaction of the store. Package cached uses it.
func (s *Store) InTransaction(ctx context.Context) bool { return s.tx(ctx) != nil }

// pool returns the connection or pool that statements run on.
func (s *Store) pool(ctx context.Context) gorm.ConnPool {
	if tx := s.tx(ctx); tx != nil {
		return withoutCache(tx.Statement.ConnPool)
	}
	return s.sql
}

// lock waits until the caller can write with SQLite. PostgreSQL does not need it.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	if s.writer == nil || s.tx(ctx) != nil {
		return func() {}, nil
	}
	select {
	case s.writer <- struct{}{}:
		return func() { <-s.writer }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// exec runs one statement that changes rows and returns their number.
func (s *Store) exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	var n int64
	err = s.retry(ctx, func() error {
		begun := s.begin()
		res, err := s.pool(ctx).ExecContext(ctx, query, args...)
		if err == nil {
			n, err = res.RowsAffected()
		}
		s.called(ctx, begun, query, err)
		return err
	})
	return n, err
}

// row reads one row.
func (s *Store) row(ctx context.Context, query string, args, dest []any) error {
	ctx, cancel, err := s.forRead(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return s.scanned(ctx, query, args, dest)
}

// scanned runs a statement that returns one row, and reports it.
func (s *Store) scanned(ctx context.Context, query string, args, dest []any) error {
	begun := s.begin()
	err := explain(s.pool(ctx).QueryRowContext(ctx, query, args...).Scan(dest...))
	s.called(ctx, begun, query, err)
	return err
}

// rows reads any number of rows.
func (s *Store) rows(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) (err error) {
	ctx, cancel, err := s.forRead(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	begun := s.begin()
	defer func() { s.called(ctx, begun, query, err) }()
	rows, err := s.pool(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return explain(rows.Err())
}

// atomically is InTx for the store's own transactions, which can run again. Their locks and
// conditions are correct at PostgreSQL's isolation level READ COMMITTED, so it sets that level: a
// stricter default of the database would only make them fail.
func (s *Store) atomically(ctx context.Context, fn func(context.Context) error) error {
	var isolation *sql.TxOptions
	if s.dialect == postgres {
		isolation = &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return s.retry(ctx, func() error { return s.inTx(ctx, fn, isolation) })
}

// maxTries is the maximum number of attempts if PostgreSQL aborts a statement or transaction in
// favor of another one.
const maxTries = 20

// retry runs f again after a serialization failure or a deadlock. f must change nothing if it
// fails. In a transaction of the caller it runs f once, because only the caller can repeat that
// transaction.
func (s *Store) retry(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := explain(f())
		if err == nil || try == maxTries || s.tx(ctx) != nil || !mayRetry(err) {
			return err
		}
		pause := time.NewTimer(rand.N(time.Millisecond << min(try, 5)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// mayRetry reports whether err is a serialization failure or a deadlock.
func mayRetry(err error) bool {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return false
	}
	code := state.SQLState()
	return code == "40001" || code == "40P01"
}
