package main

import (
	"context"

	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/observe/health"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// healthChecks returns what /healthz and /readyz report. base is the database, and db is what the
// schemes use: the cache in front of it, if there is one.
func healthChecks(ctx context.Context, cfg *config, base, db cached.Base) health.Checks {
	checks := health.Checks{Store: base.Ping, Clock: cfg.HealthClock}
	if s, ok := base.(*gormstore.Store); ok {
		checks.Schema = s.Schema
		if pool, err := s.DB(ctx).DB(); err == nil {
			checks.Pool = pool.Stats
		}
	}
	if s, ok := db.(*cached.Store); ok {
		checks.Cache = func() bool { return s.Freshness().Lease }
	}
	if s, ok := cfg.Counters.(*throttle.Shared); ok {
		checks.Limits = func() bool { return !s.Degraded() }
	}
	return checks
}
