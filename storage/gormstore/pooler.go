package gormstore

import (
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// unprepared returns gorm's handle of db without its own cache of prepared statements: how
// statements reach PostgreSQL is the driver's choice, which the database URL names. A pooler in
// transaction mode gives each statement another connection, on which nothing was prepared.
func unprepared(db *gorm.DB, pool gorm.ConnPool) *gorm.DB {
	if _, ok := db.Statement.ConnPool.(*gorm.PreparedStmtDB); !ok {
		return db
	}
	plain := db.Session(&gorm.Session{NewDB: true, Context: db.Statement.Context}) // a statement of its own
	plain.PrepareStmt, plain.ConnPool, plain.Statement.ConnPool = false, pool, pool
	return plain
}

// withoutCache returns the transaction below gorm's cache of prepared statements.
func withoutCache(pool gorm.ConnPool) gorm.ConnPool {
	if cached, ok := pool.(*gorm.PreparedStmtTX); ok {
		return cached.Tx
	}
	return pool
}

// explain adds to errors that come of how the database was opened what to do: SQLite's locks, and
// PostgreSQL's prepared statements that are lost, or there twice.
func explain(err error) error {
	var state interface{ SQLState() string }
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &state):
		if text := err.Error(); strings.HasPrefix(text, "database is locked") || strings.HasPrefix(text, "database table is locked") {
			return fmt.Errorf("gormstore: another process writes for longer than busy_timeout, or a transaction of the application read before it wrote (_txlock=immediate): %w", err)
		}
		return err
	}
	if code := state.SQLState(); code == "26000" || code == "42P05" {
		return fmt.Errorf("gormstore: a prepared statement was lost; behind a pooler in transaction mode add default_query_exec_mode=exec to the database URL: %w", err)
	}
	return err
}
