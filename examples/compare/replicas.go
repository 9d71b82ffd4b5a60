package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// channel is where replicas over one PostgreSQL tell each other what has ended.
const channel = "vestibule_compare"

// keep puts the cache in front of the database. Replicas over one PostgreSQL hear from each
// other what ends, so that it ends everywhere at once.
func keep(ctx context.Context, cfg *config, db cached.Base) (cached.Base, error) {
	opts := &cached.Options{TTL: min(cfg.Cache, cached.MaxTTL)}
	pg, ok := db.(*gormstore.Store)
	shared := ok && isPostgres(cfg.DB)
	if shared {
		opts.Tell = func(ctx context.Context, c cached.Change) error {
			text, err := c.MarshalText()
			if err != nil {
				return err
			}
			return pg.DB(ctx).Exec("SELECT pg_notify(?, ?)", channel, string(text)).Error // sent when it commits
		}
	}
	store, err := cached.New(db, opts)
	if err != nil {
		return nil, err
	}
	if shared {
		store.Bypass(true) // until there is a connection
		direct := cfg.ListenDB
		if direct == "" {
			direct = cfg.DB
		}
		go listen(ctx, direct, pg, store)
	}
	return store, nil
}

// listen applies what other replicas tell until ctx ends. While there is no connection nothing
// is kept.
func listen(ctx context.Context, url string, db *gormstore.Store, store cached.Invalidator) {
	var last string
	for ctx.Err() == nil {
		err := hear(ctx, url, db, store)
		store.Bypass(true)
		if text := fmt.Sprint(err); ctx.Err() == nil && text != last { // else it was said
			last = text
			slog.Warn("invalidation listener down; cache bypassed", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func hear(ctx context.Context, url string, db *gormstore.Store, store cached.Invalidator) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := prove(ctx, conn, db); err != nil {
		return err
	}
	store.FlushAll()
	store.Bypass(false)
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		var c cached.Change
		if c.UnmarshalText([]byte(n.Payload)) != nil {
			c = cached.Change{All: true}
		}
		c.Apply(store)
	}
}

// prove starts to listen, and returns an error unless messages that db sends arrive: a pooler
// delivers none to an idle connection, and another database has others. The cache is empty and
// bypassed meanwhile, so that the changes of that time need not be applied.
func prove(ctx context.Context, conn *pgx.Conn, db *gormstore.Store) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var pid int64
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()::bigint").Scan(&pid); err != nil {
		return err
	}
	if pid != int64(conn.PgConn().PID()) { // a pooler names a process of its own
		return errors.New("LISTEN does not work through a pooler: set -listen-db to the server's own URL")
	}
	if _, err := conn.Exec(ctx, "LISTEN "+channel+"; LISTEN "+channel+"_proof"); err != nil {
		return err
	}
	proof := rand.Text()
	if err := db.DB(ctx).Exec("SELECT pg_notify(?, ?)", channel+"_proof", proof).Error; err != nil {
		return err
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("no message of the database arrives at -listen-db: %w", err)
		}
		if n.Channel == channel+"_proof" && n.Payload == proof {
			return nil
		}
	}
}
