package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// DSNs that are right, for errors.
const (
	rightDSN   = "file:app.db?_journal_mode=WAL&_busy_timeout=1800&_txlock=immediate"
	rightPragm = "file:app.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(1800)&_txlock=immediate"
)

// checkSQLite reads how the application opened its SQLite database, and returns an error that says
// how to open it if two processes, or two requests, would disturb each other. It changes nothing.
func (s *Store) checkSQLite() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	conns := 1
	if s.sql.Stats().MaxOpenConnections != 1 {
		conns = 2 // what was set on one connection alone, by a statement, is not set on the next
	}
	var found []error
	open := make([]*sql.Conn, 0, conns)
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for range conns {
		c, err := s.sql.Conn(ctx)
		if err != nil {
			return fmt.Errorf("gormstore: %w", err)
		}
		open = append(open, c)
		if found, err = sqliteFaults(ctx, c, conns > 1); err != nil {
			return fmt.Errorf("gormstore: %w", err)
		}
		if len(found) > 0 {
			return fmt.Errorf("gormstore: SQLite database: %w; use package gormstore/sqlite, or a DSN such as %q (mattn/go-sqlite3) or %q (pure Go)", errors.Join(found...), rightDSN, rightPragm)
		}
	}
	return nil
}

// sqliteFaults returns what is wrong with a connection's settings.
func sqliteFaults(ctx context.Context, c *sql.Conn, several bool) (found []error, err error) {
	var journal, file string
	var busy, sync int
	for _, q := range []struct {
		query string
		dest  any
	}{
		{"PRAGMA journal_mode", &journal}, {"PRAGMA busy_timeout", &busy}, {"PRAGMA synchronous", &sync},
		{"SELECT COALESCE(file, '') FROM pragma_database_list WHERE name = 'main'", &file},
	} {
		if err := c.QueryRowContext(ctx, q.query).Scan(q.dest); err != nil {
			return nil, err
		}
	}
	if file == "" { // in memory
		if several {
			found = append(found, errors.New("it is in memory, which each connection has for itself: call SetMaxOpenConns(1)"))
		}
		return found, nil
	}
	if !strings.EqualFold(journal, "wal") {
		found = append(found, fmt.Errorf("journal_mode is %q (accepted is WAL: readers and a writer do not wait for each other)", journal))
	}
	if busy <= 0 {
		found = append(found, errors.New("busy_timeout is 0 (accepted is 1 ms or more: a writer waits for another process's)"))
	}
	if sync == 0 {
		found = append(found, errors.New("synchronous is OFF (accepted are NORMAL and FULL: what was revoked stays revoked after a crash)"))
	}
	return found, nil
}

// takeWriteLock makes a transaction a writer with its first statement, which waits for another
// process. A transaction that reads first, as a plain BEGIN allows, could not write after another
// process did, however long it waits. The statement changes nothing.
func (s *Store) takeWriteLock(ctx context.Context) error {
	if s.dialect != sqlite {
		return nil
	}
	_, err := s.pool(ctx).ExecContext(ctx, "DELETE FROM vestibule_migrations WHERE 0")
	if err != nil && strings.Contains(err.Error(), "no such table") { // not migrated: nothing of ours is there
		return nil
	}
	return err
}
