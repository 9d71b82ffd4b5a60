// Package redisstore keeps data in Redis that several replicas of a server share and can afford to
// lose: the counts of rate limits, used DPoP proofs, and the content of sessions. Only the database
// decides whether a credential is revoked or used up. After a failover or a restart, Redis can lose
// its last changes or return to old data.
//
// Create a [Store] with [New]. It is a storage.RateLimits for throttle.NewShared and a
// storage.Replays for dpop.New. [NewSessions] adds the content of sessions.
//
// The package works with one server, Sentinel and Cluster, of Redis 7.0 or later. Use separate
// Redis servers for it, with maxmemory-policy noeviction ([Store.Check]). With another policy,
// other data can evict counts and used proofs.
//
// If Redis does not answer, every method returns an error, which leads to the status 503. Only rate
// limits have a fallback in the memory of the process; see throttle.NewShared.
package redisstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
)

// Options configure a [Store]. A nil *Options means all defaults.
type Options struct {
	// Prefix begins every key, so that several applications can share a Redis. It has at most 64
	// characters: letters, digits, and the characters ":", "_", "-" and ".". "" means "vestibule:".
	Prefix string
	// Timeout is the longest time that a call waits for Redis. 0 means 250 ms; the range is 1 ms to
	// 10 s.
	Timeout time.Duration
	// Sink receives each command, for metrics and traces. nil means none.
	Sink *observe.Sink
}

// Store keeps rate limits and used proofs in Redis. Create one with [New]. It is safe for concurrent
// use.
//
// After 3 calls in a row without an answer, further calls fail immediately for a second. Then one
// call tries again.
type Store struct {
	client  redis.UniversalClient
	prefix  string
	timeout time.Duration
	circuit *circuit
	sink    *observe.Sink // nil: none
}

var (
	_ storage.RateLimits = (*Store)(nil)
	_ storage.Replays    = (*Store)(nil)
)

const (
	defaultPrefix  = "vestibule:"
	defaultTimeout = 250 * time.Millisecond
	prefixChars    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-."
)

// New returns a store that uses client. It does not connect. The client can be shared with the
// application; the store does not close it. opts can be nil.
//
// It returns an error if an option is out of range, or if the client is unsuitable:
//
//   - The client must be a *redis.Client (one server, or Sentinel with redis.NewFailoverClient) or a
//     *redis.ClusterClient.
//   - ContextTimeoutEnabled must be set. Without it go-redis ignores the store's timeout.
//   - It must not read from replicas (ReadOnly, RouteByLatency, RouteRandomly, ReplicaOnly), which
//     may not have a used proof yet.
func New(client redis.UniversalClient, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if err := checkClient(client); err != nil {
		return nil, fmt.Errorf("redisstore: New: %w", err)
	}
	// Braces would change on which server of a Cluster a key is.
	if len(o.Prefix) > 64 || strings.Trim(o.Prefix, prefixChars) != "" {
		return nil, fmt.Errorf("redisstore: New: Options.Prefix %q is invalid (at most 64 letters, digits, and : _ - .)", o.Prefix)
	}
	if o.Timeout < time.Millisecond || o.Timeout > 10*time.Second {
		return nil, fmt.Errorf("redisstore: New: Options.Timeout %s out of range (1ms to 10s)", o.Timeout)
	}
	return &Store{client, o.Prefix, o.Timeout, newCircuit(time.Now), o.Sink}, nil
}

func checkClient(client redis.UniversalClient) error {
	const deadlines = "the client must have ContextTimeoutEnabled"
	switch c := client.(type) {
	case *redis.Client:
		if c == nil {
			break
		}
		if !c.Options().ContextTimeoutEnabled {
			return errors.New(deadlines)
		}
		return nil
	case *redis.ClusterClient:
		if c == nil {
			break
		}
		o := c.Options()
		if !o.ContextTimeoutEnabled {
			return errors.New(deadlines)
		}
		if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return errors.New("the client must not read from replicas (ReadOnly, RouteByLatency, RouteRandomly)")
		}
		return nil
	}
	return fmt.Errorf("unsuitable client of type %T (a *redis.Client or *redis.ClusterClient)", client)
}

// Ping returns an error unless every master of the Redis answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.eachMaster(ctx, "Ping", func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() })
}

// ErrEviction means that the Redis can evict records that have not expired.
var ErrEviction = errors.New("redisstore: maxmemory-policy is not noeviction")

// Check inspects the configuration of the Redis; call it at the start of a program and log its
// error as a warning. It returns [ErrEviction] if maxmemory-policy is not noeviction, and another
// error if the Redis does not answer. It returns nil if the Redis does not permit CONFIG GET, as
// many hosted ones do not.
func (s *Store) Check(ctx context.Context) error {
	return s.eachMaster(ctx, "Check", func(ctx context.Context, c *redis.Client) error {
		values, err := c.ConfigGet(ctx, "maxmemory-policy").Result()
		if isReply(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if policy, ok := values["maxmemory-policy"]; ok && policy != "noeviction" {
			return fmt.Errorf("%w: it is %q", ErrEviction, policy)
		}
		return nil
	})
}

// eachMaster calls f for the server, or for every master of a Cluster.
func (s *Store) eachMaster(ctx context.Context, name string, f func(context.Context, *redis.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var err error
	switch c := s.client.(type) {
	case *redis.Client:
		err = f(ctx, c)
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, f)
	}
	return named(name, err)
}

// text encodes the bytes of a key. Its characters have no meaning in keys of Redis.
func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
