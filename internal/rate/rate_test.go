package rate

import (
	"testing"
	"time"
)

const second = int64(time.Second)

// take takes a unit if there is one.
func take(c *Cells, now int64, x Cell) bool {
	wait, _ := c.TakeAll(now, []Cell{x})
	return wait == 0
}

func count(c *Cells, now int64, x Cell) (n int) {
	for n < 1000 && take(c, now, x) {
		n++
	}
	return n
}

func TestCells(t *testing.T) {
	c, x := New(10), Cell{Key: [16]byte{1}, Limit: 5, Window: 10 * time.Second}
	if n := count(c, 0, x); n != 5 {
		t.Errorf("%d units of a full cell", n)
	}
	if w := c.Wait(0, &x); w != 2*time.Second {
		t.Errorf("the next one comes in %v", w)
	}
	if n := count(c, 4*second, x); n != 2 {
		t.Errorf("%d units after two intervals", n)
	}
	other := x
	other.Limit = 3
	if n := count(c, 4*second, other); n != 3 {
		t.Errorf("%d units under another rate", n)
	}
	for range 2 {
		c.Return(4*second, &x)
	}
	if n := count(c, 4*second, x); n != 2 {
		t.Errorf("%d units after two were given back", n)
	}
	if c.Len() != 2 {
		t.Errorf("%d cells", c.Len())
	}
	for range 9 {
		c.Return(4*second, &x)
	}
	c.Return(4*second, &Cell{Key: [16]byte{9}, Limit: 1, Window: 1})
	if n := count(c, 4*second, x); n != 5 || c.Len() != 2 {
		t.Errorf("%d units after more were given back than taken, %d cells", n, c.Len())
	}
}

// Times before the moment that they are counted from are times like others.
func TestBelowZero(t *testing.T) {
	c, x := New(10), Cell{Key: [16]byte{1}, Limit: 5, Window: 10 * time.Second}
	if n := count(c, -1000*second, x); n != 5 {
		t.Errorf("%d units of a full cell", n)
	}
}

// A clock that is set back locks nobody out until it has caught up, and opens no limit either.
func TestClockSetBack(t *testing.T) {
	t.Run("attack_283_cells", func(t *testing.T) {
		for _, back := range []int64{1, 3600, 86_400 * 365} {
			c, x := New(10), Cell{Key: [16]byte{1}, Limit: 5, Window: 10 * time.Second}
			count(c, 0, x)
			for i := range int64(3) {
				if n := count(c, (i*2-back)*second, x); n != 1 && back > 1 || n > 1 {
					t.Errorf("%d s back, interval %d: %d units", back, i, n)
				}
			}
		}
	})
}

// Fresh names push out neither a used-up cell nor a shared one.
func TestRoom(t *testing.T) {
	t.Run("attack_210_cells", func(t *testing.T) {
		const most = 64
		c := New(most)
		used := Cell{Key: [16]byte{0, 1}, Limit: 50, Window: time.Hour}
		all := Cell{Key: [16]byte{0, 2}, Limit: 50, Window: time.Hour, Shared: true}
		if count(c, 0, used) != 50 || count(c, 0, all) != 50 {
			t.Fatal("not used up")
		}
		for i := range 10_000 {
			take(c, 0, Cell{Key: [16]byte{1, byte(i), byte(i >> 8)}, Limit: 50, Window: time.Hour})
		}
		if c.Len() > most+1 {
			t.Errorf("%d cells", c.Len())
		}
		if take(c, 0, used) || take(c, 0, all) {
			t.Error("a used-up cell was forgotten")
		}
		take(c, int64(10*time.Hour), Cell{Key: [16]byte{2}, Limit: 50, Window: time.Hour})
		if c.Len() > most {
			t.Errorf("%d cells after all have recovered", c.Len())
		}
	})
}

// Of several cells all are taken or none, and the one with the longest wait is named.
func TestTakeAll(t *testing.T) {
	c := New(100)
	a, b := Cell{Key: [16]byte{1}, Limit: 1, Window: time.Minute}, Cell{Key: [16]byte{2}, Limit: 2, Window: time.Minute}
	if wait, _ := c.TakeAll(0, []Cell{b, a}); wait != 0 {
		t.Fatal(wait)
	}
	for range 3 {
		if wait, last := c.TakeAll(0, []Cell{b, a}); wait != time.Minute || last != 1 {
			t.Errorf("%s, cell %d", wait, last)
		}
	}
	if !take(c, 0, b) || take(c, 0, b) {
		t.Error("a refusal took units")
	}
}
