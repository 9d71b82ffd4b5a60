package main

import (
	"context"
	"log/slog"

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
		return gormstore.NewOutbox(ctx, db, nil)
	}
	return postgres.NewNotify(ctx, db, &postgres.NotifyOptions{ListenURL: cfg.ListenDB})
}
