package redisstore_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

// The replica of a killed master takes over. Until then there are errors, and limits are counted in
// memory; afterwards what the replica had counts.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	r := redistest.StartSentinel(t)
	failover(t, r.Client(), r.Master, r.Replica.Client(), storage.LimitKey{})
}

func TestClusterFailover(t *testing.T) {
	if testing.Short() {
		t.Skip("Sentinel has the same rules")
	}
	t.Parallel()
	r := redistest.StartCluster(t)
	var group storage.LimitKey
	for r.MasterOf("{"+base64.RawURLEncoding.EncodeToString(group[:])+"}") != r.Masters[0] || group == (storage.LimitKey{}) {
		group[0]++
	}
	failover(t, r.Client(), r.Masters[0], r.Replica.Client(), group)
}

func failover(t *testing.T, client redis.UniversalClient, master *redistest.Server, replica *redis.Client, group storage.LimitKey) {
	s, err := redisstore.New(client, &redisstore.Options{Prefix: prefix(), Timeout: time.Second})
	must(t, err)
	sessions, err := redisstore.NewSessions(s, memory.New(nil))
	must(t, err)
	now := time.Now().Truncate(time.Microsecond)
	one := func(ctx context.Context) (storage.LimitTake, error) {
		return s.TakeUnits(ctx, group, [][]storage.LimitCell{{cell("a", 3, time.Hour)}})
	}
	if !redistest.Poll(t, func(ctx context.Context) bool { // the client finds the servers
		o, err := one(ctx)
		return err == nil && o.Plan == 0
	}) {
		t.Fatal("never began")
	}
	proof := func(n byte) storage.BlockKey {
		return storage.BlockKeyOf(storage.ReplayProof, "", string(rune('a'+n)))
	}
	for n := range byte(20) { // on all servers of a Cluster
		must(t, s.ConsumeJTI(t.Context(), proof(n), now, now.Add(time.Minute)))
	}
	v := anonymous("a", now)
	must(t, sessions.CreateSession(t.Context(), v, storage.Digest{}))
	c := master.Client()
	if n, err := c.Wait(t.Context(), 1, 5*time.Second).Result(); err != nil || n != 1 {
		t.Fatalf("%d replicas have it, %v", n, err)
	}

	master.Kill()
	_, err = one(t.Context())
	isFault(t, "TakeUnits without a master", err)
	limits, err := throttle.NewShared(s, throttle.Replicas(2), &throttle.SharedOptions{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(t, err)
	if o, err := limits.Take(t.Context(), now, [][]throttle.Bucket{{{Key: throttle.Key(key("b")), Rates: []throttle.Rate{{Limit: 4, Window: time.Hour}}}}}); err != nil || o.Plan != 0 {
		t.Errorf("limits without a master: %+v, %v", o, err)
	}

	began := time.Now()
	var o storage.LimitTake
	if !redistest.Poll(t, func(ctx context.Context) bool {
		var err error
		o, err = one(ctx)
		return err == nil
	}) {
		text, _ := replica.Info(t.Context(), "replication").Result()
		t.Fatalf("no new master: %s", text)
	}
	t.Logf("no master for %v", time.Since(began).Round(100*time.Millisecond))
	taken := 1 // before the failover
	for o.Plan == 0 && taken < 10 {
		taken++
		o, err = one(t.Context())
		must(t, err)
	}
	if taken != 3 {
		t.Errorf("%d units of 3, over the failover", taken)
	}
	for n := range byte(20) {
		if err := s.ConsumeJTI(t.Context(), proof(n), now, now.Add(time.Minute)); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("a proof of before the failover: %v", err)
		}
	}
	if got, _, err := sessions.SessionByDigest(t.Context(), v.Digest); err != nil || string(got.Data) != string(v.Data) {
		t.Errorf("a session of before the failover: %+v, %v", got, err)
	}
}
