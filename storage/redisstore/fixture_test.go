package redisstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

// TestRedis runs these tests on a single server and on a Cluster. client returns clients of their own.
func TestRedis(t *testing.T) {
	all := func(t *testing.T, client func() redis.UniversalClient) {
		for name, f := range map[string]func(t *testing.T, client func() redis.UniversalClient){
			"conformance": conformance, "units": units, "logins": logins, "requests": requests,
			"attack_436_proofs": proofs, "attack_434_no_content": noContent, "channel": channel,
		} {
			t.Run(name, func(t *testing.T) { f(t, client) })
		}
	}
	t.Run("single", func(t *testing.T) {
		s := redistest.Start(t)
		all(t, func() redis.UniversalClient { return s.Client() })
	})
	t.Run("cluster", func(t *testing.T) {
		if testing.Short() {
			t.Skip("the single server has the same rules")
		}
		c := redistest.StartCluster(t)
		all(t, func() redis.UniversalClient { return c.Client() })
	})
}

var prefixes atomic.Int64

// prefix returns a prefix that no other test uses.
func prefix() string { return fmt.Sprintf("t%d:", prefixes.Add(1)) }

func open(t testing.TB, client redis.UniversalClient, prefix string) *redisstore.Store {
	t.Helper()
	s, err := redisstore.New(client, &redisstore.Options{Prefix: prefix, Timeout: 2 * time.Second}) // the machine of the tests is busy
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keysIn returns all keys that begin with a prefix.
func keysIn(t testing.TB, client redis.UniversalClient, prefix string) (list []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var mu sync.Mutex
	scan := func(ctx context.Context, c *redis.Client) error {
		it := c.Scan(ctx, 0, prefix+"*", 1000).Iterator()
		for it.Next(ctx) {
			mu.Lock()
			list = append(list, it.Val())
			mu.Unlock()
		}
		return it.Err()
	}
	if c, ok := client.(*redis.ClusterClient); ok {
		must(t, c.ForEachMaster(ctx, scan))
		return list
	}
	must(t, scan(ctx, client.(*redis.Client)))
	return list
}

// pass lets time pass for the cells of a prefix: it moves their times into the past. A negative time
// is a clock of the server that was set back.
func pass(t testing.TB, client redis.UniversalClient, prefix string, d time.Duration) {
	t.Helper()
	for _, key := range keysIn(t, client, prefix+"{") {
		at, err := client.Get(t.Context(), key).Int64()
		if err == redis.Nil { // it has just expired
			continue
		}
		must(t, err)
		must(t, client.Set(t.Context(), key, at-d.Microseconds(), redis.KeepTTL).Err())
	}
}

func key(name string) (k storage.LimitKey) {
	copy(k[:], name)
	return k
}

func cell(name string, limit int, window time.Duration) storage.LimitCell {
	return storage.LimitCell{Key: key(name), Limit: limit, Window: window}
}

// take takes a unit of each cell, and returns the wait.
func take(t testing.TB, s storage.RateLimits, cells ...storage.LimitCell) time.Duration {
	t.Helper()
	o, err := s.TakeUnits(t.Context(), storage.LimitKey{}, [][]storage.LimitCell{cells})
	must(t, err)
	if o.Plan == 0 == (o.Wait > 0) || o.Plan > 0 {
		t.Errorf("plan %d, wait %v", o.Plan, o.Wait)
	}
	return o.Wait
}

// isFault fails unless err is an error that is no answer of a store.
func isFault(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, answer := range []error{storage.ErrNotFound, storage.ErrConflict, storage.ErrStale, storage.ErrLimit, storage.ErrInvalid} {
		if strings.Contains(err.Error(), answer.Error()) {
			t.Errorf("%s: an answer, %v", what, err)
		}
	}
}
