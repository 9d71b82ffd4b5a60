package gormstore

import (
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// unprepared returns gorm's handle of db without its cache of prepared statements, because the
// driver, configured by the database URL, determines how statements reach PostgreSQL. A pooler in
// transaction mode runs each statement on another connection, on which it is not prepared.
func unprepared(db *gorm.DB, pool gorm.ConnPool) *gorm.DB {
	if _, ok := db.Statement.ConnPool.(*gorm.PreparedStmtDB); !ok {
		return db
	}
	plain := db.Session(&gorm.Session{NewDB: true, Context: db.Statement.Context}) // with its own Statement
	plain.PrepareStmt, plain.ConnPool, plain.Statement.ConnPool = false, pool, pool
	return plain
}

// withoutCache returns the transaction without gorm's cache of prepared statements.
func withoutCache(pool gorm.ConnPool) gorm.ConnPool {
	if cached, ok := pool.(*gorm.PreparedStmtTX); ok {
		return cached.Tx
	}
	return pool
}

// explain adds advice to errors that are caused by how the database was opened: SQLite's locks, and
// missing or duplicate prepared statements in PostgreSQL.
func explain(err error) error {
	var state interface{ SQLState() string }
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &state):
		if text := err.Error(); strings.HasPrefix(text, "database is locked") || strings.HasPrefix(text, "database table is locked") {
			return fmt.Errorf("gormstore: another process wrote for longer than busy_timeout, or a transaction of the application read before it wrote (open with _txlock=immediate): %w", err)
		}
		return err
	}
	if code := state.SQLState(); code == "26000" || code == "42P05" {
		return fmt.Errorf("gormstore: prepared statement lost (behind a pooler in transaction mode add default_query_exec_mode=exec to the database URL): %w", err)
	}
	return err
}
