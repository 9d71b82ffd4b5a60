package main

import (
	"context"
	"log/slog"
	"strings"
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
	shared := ok && (strings.HasPrefix(cfg.DB, "postgres://") || strings.HasPrefix(cfg.DB, "postgresql://"))
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
		go listen(ctx, cfg.DB, store)
	}
	return store, nil
}

// listen applies what other replicas tell until ctx ends. While there is no connection nothing
// is kept.
func listen(ctx context.Context, url string, store cached.Invalidator) {
	for ctx.Err() == nil {
		err := hear(ctx, url, store)
		store.Bypass(true)
		if ctx.Err() == nil {
			slog.Warn("the replicas' messages are not heard; nothing is cached meanwhile", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func hear(ctx context.Context, url string, store cached.Invalidator) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
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
