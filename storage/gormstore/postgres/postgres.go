// Package postgres opens a PostgreSQL database for package gormstore, with gorm's driver (pgx).
// Call [Open], then Migrate of the store.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	driver "gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// Open opens the database at url ("postgres://user:password@host:port/name"). It does not connect:
// the first call of the store does. The pool has at most 20 connections; to change that, use DB and
// (*sql.DB).SetMaxOpenConns.
//
// A call waits for a new connection until its timeout (2 seconds by default) and then returns an
// error. The connection is still established, for up to 30 seconds, and the next call gets it. So a
// pool recovers even if each new connection takes longer than a call may. At most 8 connections are
// established at once; while calls give up on them, they come in addition to the pool's 20.
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
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	limitTCP(config)
	pool := sql.OpenDB(newDials(stdlib.GetConnector(*config,
		stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error { toPrimary(url, &c.Config); return nil }),
		stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			servers.connected(ctx, conn)
			return errors.Join(scanIn(conn), refusePooler(ctx, conn))
		}),
	)))
	db, err := gorm.Open(driver.New(driver.Config{Conn: pool}), cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: %w", err), pool.Close())
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

// scanIn reads columns of the type timestamp, which only an application's own tables have, in the time
// zone that the URL names, as gorm's driver does.
func scanIn(conn *pgx.Conn) error {
	for name, zone := range conn.Config().RuntimeParams {
		if !strings.EqualFold(name, "timezone") {
			continue
		}
		loc, err := time.LoadLocation(zone)
		if err != nil {
			return fmt.Errorf("postgres: time zone of the URL: %w", err)
		}
		conn.TypeMap().RegisterType(&pgtype.Type{Name: "timestamp", OID: pgtype.TimestampOID, Codec: &pgtype.TimestampCodec{ScanLocation: loc}})
	}
	return nil
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
