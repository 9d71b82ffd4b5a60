package throttle_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/throttle"
)

func bucket(name string, rates ...throttle.Rate) throttle.Bucket {
	var b throttle.Bucket
	copy(b.Key[:], name)
	b.Rates = rates
	return b
}

func take(t testing.TB, s throttle.Store, now time.Time, b ...throttle.Bucket) time.Duration {
	t.Helper()
	o, err := s.Take(t.Context(), now, [][]throttle.Bucket{b})
	must(t, err)
	if o.Plan == 0 == (o.Wait > 0) {
		t.Errorf("plan %d taken, wait %v", o.Plan, o.Wait)
	}
	return o.Wait
}

func TestMemory(t *testing.T) {
	now := newClock().now()
	t.Run("exactly_the_limit", func(t *testing.T) {
		for _, text := range []string{"1/s", "3/s", "7/m", "10/m", "30/15m", "1000/d", "999983/d"} {
			m, r := throttle.NewMemory(nil), rate(t, text)
			for i := range r.Limit {
				if wait := take(t, m, now, bucket("a", r)); wait != 0 {
					t.Fatalf("%s: unit %d waits %v", text, i, wait)
				}
			}
			wait := take(t, m, now, bucket("a", r))
			if wait <= 0 || wait > r.Window {
				t.Fatalf("%s: the next one waits %v", text, wait)
			}
			if again := take(t, m, now.Add(wait-1), bucket("a", r)); again != 1 {
				t.Errorf("%s: a moment too early: %v", text, again)
			}
			if again := take(t, m, now.Add(wait), bucket("a", r)); again != 0 {
				t.Errorf("%s: who waits gets through: %v", text, again)
			}
		}
	})
	t.Run("all_or_none", func(t *testing.T) {
		m := throttle.NewMemory(nil)
		one, five := rate(t, "1/m"), rate(t, "5/m")
		take(t, m, now, bucket("a", five), bucket("b", one))
		for range 10 {
			if take(t, m, now, bucket("a", five), bucket("b", one)) == 0 {
				t.Fatal("b is used up")
			}
		}
		for range 4 {
			if take(t, m, now, bucket("a", five)) != 0 {
				t.Fatal("a refused attempt took a unit of a")
			}
		}
	})
	t.Run("give_back", func(t *testing.T) {
		m, b := throttle.NewMemory(nil), bucket("a", rate(t, "2/m"), rate(t, "3/h"))
		take(t, m, now, b)
		take(t, m, now, b)
		must(t, m.Return(t.Context(), now, []throttle.Bucket{b}))
		first := take(t, m, now, b)
		if second := take(t, m, now, b); first != 0 || second == 0 {
			t.Error("one unit back is one unit")
		}
		for range 10 {
			must(t, m.Return(t.Context(), now, []throttle.Bucket{b}))
		}
		if m.Len() != 0 {
			t.Errorf("%d entries for a full bucket", m.Len())
		}
		for i, want := range []bool{true, true, false} {
			if got := take(t, m, now, b) == 0; got != want {
				t.Errorf("unit %d after giving back too much: %t", i, got)
			}
		}
	})
	t.Run("attack_212_clock_steps", func(t *testing.T) {
		m, b := throttle.NewMemory(nil), bucket("a", rate(t, "5/m"))
		for range 5 {
			take(t, m, now, b)
		}
		for _, step := range []time.Duration{-time.Hour, -24 * 365 * time.Hour} {
			for try := range 3 { // one unit an interval, as from a used-up bucket
				at := now.Add(step + time.Duration(try)*12*time.Second)
				if wait := take(t, m, at, b); wait != 0 {
					t.Errorf("clock %v back, interval %d: refused for %v", step, try, wait)
				}
				if wait := take(t, m, at, b); wait <= 0 || wait > 12*time.Second {
					t.Errorf("clock %v back, interval %d: the next one is %v away", step, try, wait)
				}
			}
		}
		m = throttle.NewMemory(nil)
		for range 5 {
			take(t, m, now.Add(365*24*time.Hour), b)
		}
		n := 0
		for take(t, m, now, b) == 0 {
			n++
		}
		if n > 5 {
			t.Errorf("%d units after a clock that was ahead", n)
		}
	})
	t.Run("attack_210_a_million_names", func(t *testing.T) {
		if testing.Short() {
			t.Skip("nothing is concurrent")
		}
		m := throttle.NewMemory(&throttle.MemoryOptions{MaxEntries: 50_000})
		account, source, global := rate(t, "10/m"), rate(t, "30/m"), throttle.Rate{Limit: 1_000_000, Window: time.Hour}
		shared := bucket("global", global)
		shared.Shared = true
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		passed := 0
		for i := range 500_000 {
			if take(t, m, now, bucket("account"+strconv.Itoa(i), account), bucket("s"+strconv.Itoa(i), source), shared) == 0 {
				passed++
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := m.Len(); n > 50_001 {
			t.Errorf("%d entries", n)
		}
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 20<<20 {
			t.Errorf("%d MiB", grown>>20)
		}
		for range 600_000 {
			if take(t, m, now, shared) == 0 {
				passed++
			}
		}
		if passed != 1_000_000 {
			t.Errorf("%d passed the shared bucket of a million", passed)
		}
	})
	t.Run("attack_199_at_the_edge", func(t *testing.T) {
		m, b := throttle.NewMemory(nil), bucket("a", rate(t, "10/m"))
		var passed atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if o, err := m.Take(context.Background(), now, [][]throttle.Bucket{{b}}); err == nil && o.Plan == 0 {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		if passed.Load() != 10 {
			t.Errorf("%d of 64 passed a limit of 10", passed.Load())
		}
	})
}
