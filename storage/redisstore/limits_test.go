package redisstore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/storage"
)

func units(t *testing.T, client func() redis.UniversalClient) {
	c := client()
	t.Run("exactly_the_limit", func(t *testing.T) {
		s := open(t, c, prefix())
		for i, x := range []storage.LimitCell{cell("a", 1, time.Hour), cell("b", 7, time.Minute), cell("c", 30, 15*time.Minute), cell("d", 1000, 24*time.Hour), cell("e", 997, 24*time.Hour)} {
			n := 0
			for take(t, s, x) == 0 && n < 2000 {
				n++
			}
			if n != x.Limit {
				t.Errorf("cell %d: %d units of %d", i, n, x.Limit)
			}
			if wait := take(t, s, x); wait <= 0 || wait > x.Window/time.Duration(x.Limit)+time.Second {
				t.Errorf("cell %d: the next one waits %v", i, wait)
			}
		}
	})
	t.Run("keys_are_macs_and_expire", func(t *testing.T) {
		at := prefix()
		s := open(t, c, at)
		take(t, s, cell("a", 5, time.Minute), cell("b", 3, time.Hour))
		list := keysIn(t, c, at)
		if len(list) != 2 {
			t.Errorf("keys %q", list)
		}
		for _, k := range list {
			if ttl, err := c.PTTL(t.Context(), k).Result(); err != nil || ttl <= 0 || ttl > 20*time.Minute {
				t.Errorf("%s expires in %v, %v", k, ttl, err)
			}
		}
	})
	t.Run("plans", func(t *testing.T) {
		s := open(t, c, prefix())
		a, b, x := cell("a", 1, time.Minute), cell("b", 1, time.Hour), cell("x", 10, time.Hour)
		plans := [][]storage.LimitCell{{a, x}, {b, x}}
		for i, want := range []int{0, 1, -1} {
			o, err := s.TakeUnits(t.Context(), storage.LimitKey{}, plans)
			if err != nil || o.Plan != want {
				t.Fatalf("call %d: %+v, %v", i, o, err)
			}
			if want < 0 && (o.Key != a.Key || o.Wait <= 50*time.Second || o.Wait > time.Minute) {
				t.Errorf("%+v: the plan with the shortest wait is that of a", o)
			}
		}
		n := 0
		for take(t, s, x) == 0 {
			n++
		}
		if n != 8 {
			t.Errorf("%d units of x are left: a refusal takes none, and a plan takes one", n)
		}
		if o, err := s.TakeUnits(t.Context(), storage.LimitKey{}, [][]storage.LimitCell{{a}, {}}); err != nil || o.Plan != 1 {
			t.Errorf("a plan without cells: %+v, %v", o, err)
		}
		if o, err := s.TakeUnits(t.Context(), storage.LimitKey{}, nil); err != nil || o.Plan != -1 {
			t.Errorf("no plans: %+v, %v", o, err)
		}
	})
	t.Run("like_memory", func(t *testing.T) { likeMemory(t, c) })
	t.Run("attack_212_clock_of_the_server_set_back", func(t *testing.T) {
		for _, back := range []time.Duration{time.Hour, 24 * time.Hour} {
			at := prefix()
			s, x := open(t, c, at), cell("a", 5, time.Minute)
			for range 5 {
				take(t, s, x)
			}
			pass(t, c, at, -back)
			if wait := take(t, s, x); wait != 0 {
				t.Errorf("%v back: refused for %v", back, wait)
			}
			if wait := take(t, s, x); wait <= 0 || wait > 12*time.Second {
				t.Errorf("%v back: the next one waits %v", back, wait)
			}
		}
	})
	t.Run("attack_213_64_callers_at_each_of_3_replicas", func(t *testing.T) {
		at, x := prefix(), cell("a", 10, time.Hour)
		var replicas []storage.RateLimits
		for range 3 {
			replicas = append(replicas, open(t, client(), at))
		}
		var passed, refused atomic.Int64
		var wg sync.WaitGroup
		for _, s := range replicas {
			for range 64 {
				wg.Go(func() {
					for range 5 {
						o, err := s.TakeUnits(t.Context(), storage.LimitKey{}, [][]storage.LimitCell{{x, cell("b", 1000, time.Hour)}})
						switch {
						case err != nil:
							t.Error(err)
						case o.Plan == 0:
							passed.Add(1)
						default:
							refused.Add(1)
						}
					}
				})
			}
		}
		wg.Wait()
		if passed.Load() != 10 || refused.Load() != 3*64*5-10 {
			t.Errorf("%d passed a limit of 10, %d were refused", passed.Load(), refused.Load())
		}
	})
	t.Run("marks", func(t *testing.T) { marks(t, c) })
}

// likeMemory makes the same calls on Redis and on a Memory, which is the reference, and compares the
// results. The clock of the server goes on meanwhile, so times are compared with a tolerance.
func likeMemory(t *testing.T, c redis.UniversalClient) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	at := prefix()
	s, m := open(t, c, at), throttle.NewMemory(nil)
	now := time.Now()
	rates := []throttle.Rate{{Limit: 3, Window: 30 * time.Minute}, {Limit: 5, Window: 5 * time.Hour}, {Limit: 2, Window: time.Hour}}
	bucket := func() throttle.Bucket {
		return throttle.Bucket{Key: throttle.Key(key(string(rune('a' + r.IntN(4))))), Rates: rates[r.IntN(3):]}
	}
	plan := func() []throttle.Bucket {
		list := []throttle.Bucket{bucket()}
		if b := bucket(); b.Key != list[0].Key {
			list = append(list, b)
		}
		return list
	}
	cells := func(buckets []throttle.Bucket) (list []storage.LimitCell) {
		for _, b := range buckets {
			for _, x := range b.Rates {
				list = append(list, storage.LimitCell{Key: storage.LimitKey(b.Key), Limit: x.Limit, Window: x.Window})
			}
		}
		return list
	}
	taken, refused := 0, 0
	for i := range 400 {
		switch r.IntN(10) {
		case 0: // units come back every 10, 30 and 60 minutes: never within seconds of these times
			d := time.Duration(1+r.IntN(12))*5*time.Minute + 100*time.Second
			now = now.Add(d)
			pass(t, c, at, d)
		case 1:
			p := plan()
			must(t, m.Return(t.Context(), now, p))
			must(t, s.ReturnUnits(t.Context(), storage.LimitKey{}, cells(p)))
		default:
			plans := [][]throttle.Bucket{plan(), plan()}
			want, err := m.Take(t.Context(), now, plans)
			must(t, err)
			got, err := s.TakeUnits(t.Context(), storage.LimitKey{}, [][]storage.LimitCell{cells(plans[0]), cells(plans[1])})
			must(t, err)
			if d := got.Wait - want.Wait; got.Plan != want.Plan || d > 20*time.Second || d < -20*time.Second {
				t.Fatalf("seed %d, call %d: %+v, and in memory %+v", seed, i, got, want)
			}
			if want.Plan < 0 {
				refused++
			} else {
				taken++
			}
		}
	}
	if taken < 20 || refused < 20 {
		t.Errorf("seed %d: %d taken and %d refused show little", seed, taken, refused)
	}
}

func marks(t *testing.T, c redis.UniversalClient) {
	s, m := open(t, c, prefix()), throttle.NewMemory(nil)
	now, ttl := time.Now().Truncate(time.Microsecond), 24*time.Hour
	put := func(set, member, stamp string, seen time.Duration, keep int) {
		t.Helper()
		must(t, s.PutMark(t.Context(), now, key(set), storage.LimitMark{Member: key(member), Stamp: key(stamp), Seen: now.Add(seen)}, keep, ttl))
		must(t, m.Mark(t.Context(), now, throttle.Key(key(set)), throttle.Mark{Member: throttle.Key(key(member)), Stamp: throttle.Key(key(stamp)), Seen: now.Add(seen)}, keep, ttl))
	}
	same := func(what string, want ...string) {
		t.Helper()
		got, err := s.MarksOf(t.Context(), now, []storage.LimitKey{key("set"), key("none"), key("other")})
		must(t, err)
		ref, err := m.Marks(t.Context(), now, []throttle.Key{throttle.Key(key("set")), throttle.Key(key("none")), throttle.Key(key("other"))})
		must(t, err)
		var texts, refs []string
		for i := range got {
			for _, x := range got[i] {
				texts = append(texts, fmt.Sprintf("%d %s %s %v", i, name(x.Member), name(x.Stamp), x.Seen.Sub(now)))
			}
			for _, x := range ref[i] {
				refs = append(refs, fmt.Sprintf("%d %s %s %v", i, name(storage.LimitKey(x.Member)), name(storage.LimitKey(x.Stamp)), x.Seen.Sub(now)))
			}
		}
		slices.Sort(texts)
		slices.Sort(refs)
		if !slices.Equal(texts, refs) || !slices.Equal(texts, want) {
			t.Errorf("%s: %q, in memory %q, want %q", what, texts, refs, want)
		}
	}
	put("set", "a", "s", 0, 2)
	put("set", "a", "t", -time.Hour, 2)
	put("other", "a", "u", -time.Hour, 2)
	same("the later time stays, the stamp is new", "0 a t 0s", "2 a u -1h0m0s")
	put("set", "b", "s", -2*time.Hour, 2)
	put("set", "c", "s", -time.Minute, 2)
	same("the oldest leaves", "0 a t 0s", "0 c s -1m0s", "2 a u -1h0m0s")
	put("set", "d", "s", -3*time.Hour, 2)
	same("a mark that is older than all others leaves itself", "0 a t 0s", "0 c s -1m0s", "2 a u -1h0m0s")
	now = now.Add(23 * time.Hour)
	same("the other set has expired", "0 a t -23h0m0s", "0 c s -23h1m0s")
	put("set", "c", "x", -20*time.Hour, 8)
	put("other", "e", "x", 0, 8)
	now = now.Add(time.Hour)
	same("a mark has expired", "0 c x -21h0m0s", "2 e x -1h0m0s")
}

func name(k storage.LimitKey) string { return strings.TrimRight(string(k[:]), "\x00") }
