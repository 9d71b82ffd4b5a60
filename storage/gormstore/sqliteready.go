package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Valid DSNs, for errors.
const (
	exampleDSN    = "file:app.db?_journal_mode=WAL&_busy_timeout=1800&_txlock=immediate"
	examplePragma = "file:app.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(1800)&_txlock=immediate"
)

// checkSQLite reads how the application opened its SQLite database. If concurrent processes or
// requests would fail with these settings, it returns an error that says how to open the database.
// It changes nothing.
func (s *Store) checkSQLite() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	conns := 1
	if s.sql.Stats().MaxOpenConnections != 1 {
		conns = 2 // detects settings that a statement made on only one connection
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
			return fmt.Errorf("gormstore: New: SQLite database: %w (use package gormstore/sqlite, or a DSN such as %q for mattn/go-sqlite3 or %q for pure Go)", errors.Join(found...), exampleDSN, examplePragma)
		}
	}
	return nil
}

// sqliteFaults returns what is wrong with the settings of a connection.
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
	if file == "" { // an in-memory database
		if several {
			found = append(found, errors.New("each connection has its own in-memory database (call SetMaxOpenConns(1))"))
		}
		return found, nil
	}
	if !strings.EqualFold(journal, "wal") {
		found = append(found, fmt.Errorf("journal_mode is %q (WAL, so that readers and a writer do not wait for each other)", journal))
	}
	if busy <= 0 {
		found = append(found, errors.New("busy_timeout is 0 (at least 1 ms, so that a writer waits for another process)"))
	}
	if sync == 0 {
		found = append(found, errors.New("synchronous is OFF (NORMAL or FULL, so that a revocation survives a crash)"))
	}
	return found, nil
}

// takeWriteLock makes a transaction a writer with its first statement, which waits for other
// processes. A transaction that reads first, which a plain BEGIN allows, cannot write after another
// process has written, however long it waits. The statement changes nothing.
func (s *Store) takeWriteLock(ctx context.Context) error {
	if s.dialect != sqlite {
		return nil
	}
	_, err := s.pool(ctx).ExecContext(ctx, "DELETE FROM vestibule_migrations WHERE 0")
	if err != nil && strings.Contains(err.Error(), "no such table") { // not migrated, so there are no tables of this library
		return nil
	}
	return err
}
