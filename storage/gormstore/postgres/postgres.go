// Package postgres opens a PostgreSQL database for package gormstore, with gorm's driver (pgx).
// Call [Open], then Migrate of the store.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	driver "gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// Open opens the database at url ("postgres://user:password@host:port/name"). It does not connect:
// the first call of the store does, within its timeout. The pool has at most 20 connections; to
// change that, use DB and (*sql.DB).SetMaxOpenConns.
//
// Behind a pooler in transaction mode, such as PgBouncer, add default_query_exec_mode=exec (or
// simple_protocol) to url. With the default, cache_statement, statements fail there with SQLSTATE
// 26000 or 42P05. With describe_exec, a pooler could run another client's statement, so the store
// checks each new connection and rejects connections to a pooler.
//
// Connections lead to the primary. If url has several hosts, Open uses the first host that is not a
// standby server, as with target_session_attrs=primary. To choose differently, set that parameter.
func Open(url string, opts *gormstore.Options) (*gormstore.Store, error) {
	cfg := gormstore.Config()
	cfg.DisableAutomaticPing = true
	var o gormstore.Options
	if opts != nil {
		o = *opts
	}
	var servers servers
	if o.ServerChanges == nil {
		o.ServerChanges = servers.changes
	}
	db, err := gorm.Open(driver.New(driver.Config{DSN: url, OptionOpenDB: []stdlib.OptionOpenDB{
		stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error { toPrimary(url, &c.Config); return nil }),
		stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			servers.connected(ctx, conn)
			return refusePooler(ctx, conn)
		}),
	}}), cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	pool.SetMaxOpenConns(20)
	pool.SetMaxIdleConns(20)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(30 * time.Minute)
	s, err := gormstore.Own(db, &o)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return s, nil
}

// refusePooler rejects a connection to a pooler in the mode describe_exec, which parses a statement
// in one round trip and runs it in the next. In between, a transaction pooler can switch to another
// server connection and run a statement that another client parsed there.
func refusePooler(ctx context.Context, conn *pgx.Conn) error {
	if conn.Config().DefaultQueryExecMode != pgx.QueryExecModeDescribeExec {
		return nil
	}
	var pid uint32
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()::bigint").Scan(&pid); err != nil {
		return err
	}
	if pid != conn.PgConn().PID() { // a pooler reports its own process ID
		return errors.New("postgres: default_query_exec_mode=describe_exec is unsafe behind a pooler (use exec)")
	}
	return nil
}
