package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

// checkRedis returns what is wrong with -redis. It does not quote the URL, which may have a password.
func (c *config) checkRedis() error {
	if c.RedisURL == "" {
		return nil
	}
	if !isPostgres(c.DB) {
		return errors.New("-redis: want postgres://… in -db: servers that share a Redis share a database")
	}
	if _, err := redis.ParseURL(c.RedisURL); err != nil {
		return errors.New("-redis: want redis://host:port")
	}
	if c.Replicas < 1 {
		return errors.New("-replicas: want a number above 0")
	}
	return nil
}

// openRedis connects to -redis, if it is set. It never decides that a credential is revoked or used
// up: that is in the database.
func (c *config) openRedis(ctx context.Context) (cleanup func(), err error) {
	if c.RedisURL == "" {
		return func() {}, nil
	}
	opts, err := redis.ParseURL(c.RedisURL)
	if err != nil {
		return nil, errors.New("-redis: want redis://host:port")
	}
	opts.ContextTimeoutEnabled = true
	client := redis.NewClient(opts)
	cleanup = func() { client.Close() }
	if c.redis, err = redisstore.New(client, nil); err == nil {
		live := c.live
		if live == nil {
			live = throttle.Replicas(c.Replicas)
		}
		c.Counters, err = throttle.NewShared(c.redis, live, nil)
		plantCounters(c)
	}
	if err != nil {
		cleanup()
		return nil, err
	}
	if err := c.redis.Check(ctx); err != nil { // not fatal: the server starts without it, too
		slog.Warn("unsafe or absent Redis", slog.Any("error", err))
	}
	return cleanup, nil
}

// proofs returns where used DPoP proofs are recorded.
func (c *config) proofs(db storage.Replays) storage.Replays {
	if c.redis == nil {
		return db
	}
	return c.redis
}

// limits returns the limits of OAuth 2.0 requests; nil means the default ones, in memory.
func (c *config) limits() *server.Limits {
	if c.redis == nil {
		return nil
	}
	return &server.Limits{Limiter: server.SharedLimiter(c.Counters)}
}

// sessions returns the rows of the sessions. With a Redis it has their content.
func (c *config) sessions(db cached.Base) (session.Rows, error) {
	if c.redis == nil {
		return db, nil
	}
	content, err := redisstore.NewSessions(c.redis, db)
	if err != nil {
		return nil, err
	}
	return struct {
		*redisstore.Sessions
		storage.Families
		storage.Permissions
	}{content, db, db}, nil
}
