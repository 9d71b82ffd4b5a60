package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// keep puts the cache in front of the database. Replicas over one PostgreSQL hear from each
// other what ends, so that it ends everywhere within bus.Bound.
func keep(ctx context.Context, cfg *config, db cached.Base) (*cached.Store, error) {
	opts := &cached.Options{TTL: min(cfg.Cache, cached.MaxTTL)}
	if pg, ok := db.(*gormstore.Store); ok && isPostgres(cfg.DB) {
		courier, err := newCourier(ctx, cfg, pg)
		if err != nil {
			return nil, err
		}
		opts.Courier = plant(courier)
		if cfg.DenySet && cfg.AccessTTL <= storage.MaxTokenLifetime {
			opts.DenySet = &cached.DenySet{Lifetime: cfg.AccessTTL}
		}
	}
	store, err := cached.New(db, opts)
	if err != nil || opts.Courier == nil {
		return store, err
	}
	go func() {
		if err := store.Run(ctx); ctx.Err() == nil {
			slog.Error("invalidation ended; cache bypassed", slog.Any("error", err))
		}
	}()
	return store, nil
}

// newCourier returns the courier that -courier names.
func newCourier(ctx context.Context, cfg *config, db *gormstore.Store) (bus.Courier, error) {
	if cfg.Courier == gormstore.CourierOutbox {
		return gormstore.NewOutbox(ctx, db, &gormstore.OutboxOptions{Replica: cfg.replica})
	}
	return postgres.NewNotify(ctx, db, &postgres.NotifyOptions{ListenURL: cfg.ListenDB, Replica: cfg.replica})
}

// announce tells the other servers over the database what this one has, so that the logs of both warn
// if their master keys or settings differ. With a cache, its courier does that.
func announce(ctx context.Context, cfg *config, db cached.Base, ring *keys.Ring) {
	cfg.replica.Settings, cfg.replica.KeyIDs = cfg.settings(), ring.IDs()
	if pg, ok := db.(*gormstore.Store); ok && isPostgres(cfg.DB) && cfg.Cache == 0 {
		go func() { _ = pg.AnnounceReplica(ctx, cfg.replica) }() // it ends with ctx
	}
}

// warnOfConnections logs if the servers over the database can open more connections than it has.
func warnOfConnections(ctx context.Context, db *gormstore.Store) {
	running, err := db.Replicas(ctx) // this one has not announced itself
	if err == nil {
		err = db.CheckConnections(ctx, running+1)
	}
	if err != nil {
		slog.Warn("too few database connections", slog.Any("error", err))
	}
}

// settings are those that all servers over one database must share.
func (c *config) settings() string {
	return fmt.Sprint(c.Origin, c.LoginRate, c.KnoxTTL, c.AccessTTL, c.RefreshTTL, c.Grace, c.JWTAlgorithm, c.RedisURL != "")
}
