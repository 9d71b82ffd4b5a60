package gormstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	// lockTimeout limits a migration, with the wait for another process's migration.
	lockTimeout = 60 * time.Second
	// tableTimeout limits the wait for the lock of a table. Requests wait behind a migration that
	// waits, so it gives up before they fail, and tries again.
	tableTimeout = time.Second
)

// migrate runs migrations in one transaction. It tries again if a long transaction of another
// program holds a table that a migration changes, or if another process created the table of locks
// at the same moment.
func (s *Store) migrate(ctx context.Context, all []migration) error {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for {
		again, err := s.migrateOnce(ctx, all)
		if !again {
			return err
		}
		pause := time.NewTimer(50*time.Millisecond + rand.N(200*time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("another transaction held a table for %v (end it, and migrate again): %w", lockTimeout, err)
		}
	}
}

// migrateOnce is one attempt of migrate. again reports that another one can succeed.
func (s *Store) migrateOnce(ctx context.Context, all []migration) (again bool, err error) {
	conn, err := s.sql.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	begin := "BEGIN IMMEDIATE"
	if s.dialect == postgres {
		begin = "BEGIN ISOLATION LEVEL READ COMMITTED" // what another process commits must be visible after the lock
	}
	if err := beginExclusive(ctx, conn, begin); err != nil {
		return false, err
	}
	again, err = s.lockMigration(ctx, conn)
	if err == nil {
		err = s.apply(ctx, conn, all)
		again = hasState(err, "55P03", "40001", "40P01") // lock_not_available, or a conflict with running transactions
	}
	end := "COMMIT"
	if err != nil {
		end = "ROLLBACK"
	}
	// The transaction must end even if the caller's context has ended.
	ending, done := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer done()
	if _, endErr := conn.ExecContext(ending, end); endErr != nil {
		err = errors.Join(err, endErr)
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // do not use it again
	}
	return again && ctx.Err() == nil, err
}

// lockMigration excludes other processes that migrate until the transaction ends. If
// again is true, another process created the table of locks at the same moment. The caller then rolls
// back and tries again.
func (s *Store) lockMigration(ctx context.Context, conn *sql.Conn) (again bool, err error) {
	if s.dialect != postgres {
		return false, nil
	}
	var advisory int
	if err := conn.QueryRowContext(ctx, countAdvisory).Scan(&advisory); err != nil {
		return false, err
	}
	if advisory > 0 && !s.noAdvisory {
		// The lock of programs before schema version 18, of which one can start at the same time. The
		// number is derived from the word "vestibule".
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock(7809641870338124901)"); err != nil {
			return false, err
		}
	}
	// If another transaction is creating the table, this one waits for its end and gets an error.
	if _, err := conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS vestibule_locks (name TEXT COLLATE \"C\" NOT NULL PRIMARY KEY)"); err != nil {
		return hasState(err, "23505", "42P07", "42710", "40001", "40P01"), err
	}
	if _, err := conn.ExecContext(ctx, createRow, lockMigrate); err != nil {
		return hasState(err, "40001", "40P01"), err
	}
	if _, err := conn.ExecContext(ctx, lockRow, lockMigrate); err != nil {
		return hasState(err, "40001", "40P01"), err
	}
	_, err = conn.ExecContext(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", tableTimeout.Milliseconds()))
	return false, err
}

// hasState reports whether err is an error of PostgreSQL with one of these codes.
func hasState(err error, codes ...string) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && slices.Contains(codes, state.SQLState())
}

// beginExclusive waits while another process holds SQLite's write lock, because the driver's own
// wait is only as long as that of a request.
func beginExclusive(ctx context.Context, conn *sql.Conn, begin string) error {
	for {
		_, err := conn.ExecContext(ctx, begin)
		if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "locked") {
			return err
		}
		pause := time.NewTimer(10 * time.Millisecond) // because some drivers do not wait
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

const createMigrations = "CREATE TABLE IF NOT EXISTS vestibule_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_us BIGINT NOT NULL)"

func (s *Store) apply(ctx context.Context, conn *sql.Conn, all []migration) error {
	if _, err := conn.ExecContext(ctx, createMigrations); err != nil {
		return err
	}
	var have int
	if err := conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM vestibule_migrations").Scan(&have); err != nil {
		return err
	}
	if want := newest(all); have > want {
		return fmt.Errorf("%w: version %d (this program knows up to %d)", ErrNewerSchema, have, want)
	}
	for _, m := range all {
		if m.version <= have {
			continue
		}
		for _, step := range m.statement {
			if s.migrating != nil {
				s.migrating(step)
			}
			if _, err := conn.ExecContext(ctx, step); err != nil {
				return fmt.Errorf("%04d_%s: %w", m.version, m.name, err)
			}
		}
		if err := conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM vestibule_migrations").Scan(&have); err != nil {
			return err
		}
		if have != m.version {
			return fmt.Errorf("%04d_%s: file does not record itself in vestibule_migrations", m.version, m.name)
		}
	}
	return nil
}

func newest(all []migration) int {
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].version
}
