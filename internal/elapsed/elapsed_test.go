package elapsed

import (
	"sync"
	"testing"
	"time"
)

func Test_edge_A15_steps(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	c := New(func() time.Time { return at })
	for _, step := range []struct {
		by   time.Duration
		want time.Duration
	}{
		{0, 0}, {29 * time.Second, 29 * time.Second}, {-29 * time.Second, 29 * time.Second}, {time.Second, 30 * time.Second},
		{-time.Hour, 30 * time.Second}, {29 * time.Second, 59 * time.Second}, {-29 * time.Second, 59 * time.Second}, {time.Hour, time.Hour + 59*time.Second},
	} {
		at = at.Add(step.by)
		if got := c.Now(); got != step.want {
			t.Errorf("after %v: %v, want %v", step.by, got, step.want)
		}
	}
}

// A clock that is set back between two readings that are far apart does not hide that time.
func Test_edge_A15_unread(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	c := New(func() time.Time { return at })
	for i := range 3 {
		c.read = c.read.Add(-29 * time.Second) // 29 seconds pass
		if got, least := c.Now(), time.Duration(i+1)*29*time.Second; got < least {
			t.Errorf("%v, want %v", got, least)
		}
	}
	var wrapped time.Duration // a clock with a monotonic reading that is moved
	c = New(func() time.Time { return time.Now().Add(wrapped) })
	before := c.Now()
	wrapped = -time.Hour
	if now := c.Now(); now < before {
		t.Errorf("%v after %v", now, before)
	}
}

func Test_edge_A15_concurrent(t *testing.T) {
	for name, c := range map[string]*Clock{"monotonic": New(nil), "wall": New(time.Now)} {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				last := c.Now()
				for range 1000 {
					now := c.Now()
					if now < last {
						t.Errorf("%s: %v after %v", name, now, last)
					}
					last = now
				}
			})
		}
		wg.Wait()
		if now, real := c.Now(), Read().since-c.begun.since; now > real+time.Second || now < 0 {
			t.Errorf("%s: %v of %v", name, now, real)
		}
	}
}

// One reading serves several clocks. A clock that counts wall reads wall all the same.
func Test_edge_A15_instant(t *testing.T) {
	c := New(nil)
	before := c.Now()
	i, now := ReadWall()
	if got := c.At(i); got < before || got > c.Now() || c.At(i) != got {
		t.Errorf("%v, before it %v", got, before)
	}
	if d := time.Since(now); d < 0 || d > time.Minute || c.At(Read()) < c.At(i) {
		t.Errorf("the wall clock is %v behind", d)
	}
	at := time.Unix(1_000_000, 0)
	w := New(func() time.Time { return at })
	at = at.Add(time.Hour)
	if got := w.At(i); got != time.Hour {
		t.Errorf("%v, want the hour that wall moved", got)
	}
	at = at.Add(-time.Hour)
	if got := w.At(Read()); got != time.Hour {
		t.Errorf("%v after wall was set back", got)
	}
}

func TestWallNoticesThatTheClockWasSet(t *testing.T) {
	var w Wall
	now, wall := ReadWall()
	w.set(now, wall.Add(time.Hour)) // and set back by an hour at once
	for range 3 {
		if got := w.At(now) - wall.UnixNano(); got != int64(time.Hour) {
			t.Errorf("within wallAge: %v, want %v", time.Duration(got), time.Hour)
		}
	}
	for _, later := range []time.Duration{wallAge, time.Hour} {
		w.set(now, wall.Add(time.Hour))
		if got := time.Duration(w.At(Instant{now.since + later}) - wall.UnixNano()); got < 0 || got > time.Minute {
			t.Errorf("%v after the reading: ahead by %v, want the system's clock", later, got)
		}
	}
}

func TestWallIsTheSystems(t *testing.T) {
	var w Wall
	for range 3 {
		before := time.Now()
		got := time.Unix(0, w.At(Read()))
		if after := time.Now(); got.Before(before.Add(-time.Second)) || got.After(after.Add(time.Second)) {
			t.Errorf("%v, want between %v and %v", got, before, after)
		}
	}
}

// While a machine is suspended, the monotonic clock stands still on Linux. What was kept before is
// not kept for longer, and setting the wall clock back keeps nothing longer either.
func TestSuspended_attack_454(t *testing.T) {
	c := New(nil)
	now, wall := ReadWall()
	pass := func(monotonic, real time.Duration) time.Duration {
		now.since += monotonic
		wall = wall.Add(real)
		c.compare(now, wall)
		return now.since - c.begun.since + time.Duration(c.slept.Load())
	}
	before := pass(time.Second, time.Second)
	for _, step := range []struct{ monotonic, real, want time.Duration }{
		{time.Second, time.Second, time.Second}, {time.Second, time.Hour, time.Hour}, {time.Second, time.Second, time.Second},
		{time.Second, time.Second + 20*time.Millisecond, time.Second}, {time.Second, -time.Hour, time.Second}, {time.Second, time.Second, time.Second},
		{time.Second, 2 * time.Hour, 2 * time.Hour}, {time.Second, time.Second + maxDrift/2, time.Second}, {time.Second, time.Second + maxDrift, time.Second + 3*maxDrift/2},
	} {
		after := pass(step.monotonic, step.real)
		if got := after - before; (got - step.want).Abs() > maxDrift {
			t.Errorf("%v by the monotonic clock and %v by the wall clock: %v, want %v", step.monotonic, step.real, got, step.want)
		}
		before = after
	}
	// A reader notices it within wallAge.
	c = New(nil)
	c.ahead -= int64(time.Hour) // since the last reading
	c.checked.Add(-int64(2 * wallAge))
	if got := c.Now(); got < time.Hour {
		t.Errorf("%v after an hour", got)
	}
}
