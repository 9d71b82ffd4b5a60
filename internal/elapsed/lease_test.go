package elapsed

import (
	"sync"
	"testing"
	"time"
)

func TestLeaseHoldsForItsTime(t *testing.T) {
	var l Lease
	from := Now()
	if l.Holds(from.at) {
		t.Error("the zero Lease holds")
	}
	l.Grant(from, 200*time.Millisecond)
	for after, want := range map[time.Duration]bool{0: true, 199 * time.Millisecond: true, 200 * time.Millisecond: false, time.Hour: false} {
		if got := l.Holds(Instant{from.at.since + after}); got != want {
			t.Errorf("%v after the moment: %t, want %t", after, got, want)
		}
	}
	l.Drop()
	if l.Holds(from.at) {
		t.Error("it holds after Drop")
	}
}

// The machine was suspended, or somebody set the wall clock: the two clocks have moved apart.
func TestLeaseDrift(t *testing.T) {
	for _, c := range []struct {
		drift time.Duration
		want  bool
	}{{0, true}, {49 * time.Millisecond, true}, {-49 * time.Millisecond, true}, {51 * time.Millisecond, false}, {-51 * time.Millisecond, false}, {time.Hour, false}} {
		var l Lease
		from := Now()
		moved := from
		moved.ahead -= int64(c.drift) // now is ahead of it by drift
		l.Grant(moved, time.Hour)
		if got := l.Holds(Instant{from.at.since + 2*compareAge}); got != c.want {
			t.Errorf("drift %v: %t, want %t", c.drift, got, c.want)
		}
		if got := l.Holds(from.at); got != c.want {
			t.Errorf("drift %v, again: %t, want %t", c.drift, got, c.want)
		}
		l.Grant(Now(), time.Hour)
		if !l.Holds(Read()) {
			t.Errorf("drift %v: the next lease does not hold", c.drift)
		}
	}
}

// A comparison that ends after a new lease was granted does not drop that.
func TestLeaseDriftOfAnEarlierLease(t *testing.T) {
	var l Lease
	from := Now()
	l.Grant(from, time.Hour)
	until := l.until.Load()
	l.Grant(Now(), 2*time.Hour)
	apart := Now()
	apart.ahead += int64(time.Minute)
	if l.compare(until, apart) {
		t.Error("the earlier one holds")
	}
	if !l.Holds(Read()) {
		t.Error("the later one was dropped")
	}
}

func TestLeaseConcurrently(t *testing.T) {
	var l Lease
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				l.Grant(Now(), time.Hour)
				l.Holds(Read())
			}
		})
	}
	wg.Wait()
	if !l.Holds(Read()) {
		t.Error("it does not hold")
	}
}
