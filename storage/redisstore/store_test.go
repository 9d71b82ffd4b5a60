package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

func TestNew(t *testing.T) {
	good := redis.NewClient(&redis.Options{Addr: "192.0.2.1:1", ContextTimeoutEnabled: true})
	defer good.Close()
	for what, client := range map[string]redis.UniversalClient{
		"nothing": nil, "a nil client": (*redis.Client)(nil), "a nil cluster": (*redis.ClusterClient)(nil),
		"no deadlines":          redis.NewClient(&redis.Options{}),
		"no deadlines, cluster": redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"192.0.2.1:1"}}),
		"a ring":                redis.NewRing(&redis.RingOptions{ContextTimeoutEnabled: true}),
		"reads of replicas":     redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"192.0.2.1:1"}, ContextTimeoutEnabled: true, ReadOnly: true}),
		"the nearest node":      redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"192.0.2.1:1"}, ContextTimeoutEnabled: true, RouteByLatency: true}),
		"any node":              redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"192.0.2.1:1"}, ContextTimeoutEnabled: true, RouteRandomly: true}),
	} {
		if _, err := redisstore.New(client, nil); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	for _, o := range []redisstore.Options{{Prefix: "a{b}"}, {Prefix: "a b"}, {Prefix: "é"}, {Prefix: strings.Repeat("a", 65)}, {Timeout: -1}, {Timeout: time.Microsecond}, {Timeout: time.Minute}} {
		if _, err := redisstore.New(good, &o); err == nil {
			t.Errorf("%+v: accepted", o)
		}
	}
	s, err := redisstore.New(good, &redisstore.Options{Prefix: "my-app.1:"})
	must(t, err)
	if _, err := redisstore.NewSessions(nil, memory.New(nil)); err == nil {
		t.Error("no store: accepted")
	}
	if _, err := redisstore.NewSessions(s, nil); err == nil {
		t.Error("no base: accepted")
	}
}

func TestCheck(t *testing.T) {
	r := redistest.Start(t)
	c := r.Client()
	s := open(t, c, prefix())
	must(t, s.Check(t.Context()))
	must(t, s.Ping(t.Context()))
	must(t, c.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	if err := s.Check(t.Context()); !errors.Is(err, redisstore.ErrEviction) || !strings.Contains(err.Error(), "allkeys-lru") {
		t.Errorf("a policy that evicts: %v", err)
	}
	must(t, c.Do(t.Context(), "acl", "setuser", "default", "-config").Err())
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("CONFIG is not permitted: %v", err)
	}
	r.Kill()
	isFault(t, "Check", s.Check(t.Context()))
	isFault(t, "Ping", s.Ping(t.Context()))
}

// Two applications with different prefixes do not meet.
func TestPrefix(t *testing.T) {
	c := redistest.Start(t).Client()
	k := storage.BlockKeyOf(storage.ReplayProof, "client", "a")
	now := time.Now()
	for _, at := range []string{prefix(), prefix()} {
		s := open(t, c, at)
		must(t, s.ConsumeJTI(t.Context(), k, now, now.Add(time.Minute)))
		if wait := take(t, s, cell("a", 1, time.Hour)); wait != 0 {
			t.Errorf("a cell of another prefix was counted: %v", wait)
		}
		for _, k := range keysIn(t, c, at) {
			if !strings.HasPrefix(k, at) {
				t.Errorf("key %q", k)
			}
		}
	}
}

// A record remains longer than the proof is valid by the clock of any replica, and goes by itself.
func TestProofsExpire(t *testing.T) {
	c := redistest.Start(t).Client()
	at := prefix()
	s := open(t, c, at)
	now := time.Now()
	for id, until := range map[string]time.Time{"a": now.Add(2 * time.Minute), "b": now.Add(-time.Hour), "c": now.AddDate(5000, 0, 0)} {
		must(t, s.ConsumeJTI(t.Context(), storage.BlockKeyOf(storage.ReplayProof, "", id), now, until))
		k := storage.BlockKeyOf(storage.ReplayProof, "", id)
		found := false
		for _, name := range keysIn(t, c, at) {
			ttl, err := c.PTTL(t.Context(), name).Result()
			must(t, err)
			want := max(min(until.Sub(now), 100*365*24*time.Hour), 0) + storage.ClockSkew
			found = found || ttl <= want && ttl > want-time.Minute
		}
		if used, err := s.Used(t.Context(), k); err != nil || !used || !found {
			t.Errorf("%s: used %t, %v, with that expiry %t", id, used, err, found)
		}
	}
}

// A proof that one replica accepted is refused by the others.
func proofs(t *testing.T, client func() redis.UniversalClient) {
	at := prefix()
	a, b := open(t, client(), at), open(t, client(), at)
	now := time.Now()
	for i := range 20 {
		k := storage.BlockKeyOf(storage.ReplayProof, "client", string(rune('a'+i)))
		errs := make([]error, 32)
		var wg sync.WaitGroup
		for n := range errs {
			wg.Go(func() {
				s := a
				if n%2 == 0 {
					s = b
				}
				errs[n] = s.ConsumeJTI(t.Context(), k, now, now.Add(time.Minute))
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, storage.ErrConflict) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d replicas accepted one proof", won)
		}
	}
}

// dropper is a hook that loses the answer to a command after the server has executed it.
type dropper struct {
	redis.Hook
	verb string
	n    int
}

func (d *dropper) DialHook(next redis.DialHook) redis.DialHook { return next }
func (d *dropper) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (d *dropper) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == d.verb {
			d.n++
			if !cmd.NoRetry() {
				return errors.New("go-redis would repeat it")
			}
		}
		return next(ctx, cmd)
	}
}

// A command whose answer is lost is not repeated: a proof would look as if it had been used before.
func TestNothingIsRepeated(t *testing.T) {
	c := redistest.Start(t).Client()
	d := &dropper{verb: "set"}
	c.AddHook(d)
	s := open(t, c, prefix())
	now := time.Now()
	must(t, s.ConsumeJTI(t.Context(), storage.BlockKeyOf(storage.ReplayProof, "", "a"), now, now.Add(time.Minute)))
	if d.n != 1 {
		t.Errorf("%d commands", d.n)
	}
	d.verb, d.n = "evalsha", 0
	must(t, c.ScriptFlush(t.Context()).Err())
	for range 2 { // the first has no script
		take(t, s, cell("a", 5, time.Hour))
	}
	if d.n != 2 {
		t.Errorf("%d scripts", d.n)
	}
}
