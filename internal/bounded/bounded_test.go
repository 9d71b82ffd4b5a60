package bounded

import (
	"math/rand/v2"
	"testing"
)

// Whatever is done, the bounds hold, the count is that of what is there, and a value is its key's.
func TestMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ entries, bytes int }{{0, 0}, {1, 1}, {2, 100}, {10, 1000}, {1000, 100}, {64, 1 << 40}} {
		m := New[int, [2]int](c.entries, c.bytes)
		last := map[int][2]int{} // what was put last and not dropped
		for n := range 20_000 {
			k := rnd.IntN(3*c.entries + 5)
			switch rnd.IntN(8) {
			case 0:
				m.Drop(k)
				delete(last, k)
			case 1, 2, 3:
				v := [2]int{k, n}
				m.Put(k, v, rnd.IntN(60))
				last[k] = v
			default:
				if v, ok := m.Get(k); ok && v != last[k] {
					t.Fatalf("%+v: %v of key %d, want %v", c, v, k, last[k])
				}
			}
			entries, bytes := m.Usage()
			sum := 0
			for _, h := range []half[int, [2]int]{m.young, m.old} {
				for _, it := range h.items {
					sum += it.size
				}
			}
			if entries > max(c.entries, 2) || bytes > max(c.bytes, 2) || bytes != sum {
				t.Fatalf("%+v: %d entries, %d bytes, counted %d", c, entries, bytes, sum)
			}
		}
	}
}

// The last half of the bound is always there, and what is used stays.
func TestUsedStays(t *testing.T) {
	m := New[int, int](100, 100)
	for i := range 10_000 {
		m.Put(i, i, 1)
		for back := range min(50, i+1) {
			if v, ok := m.young.items[i-back]; !ok && m.old.items[i-back].value != i-back || ok && v.value != i-back {
				t.Fatalf("%d is not there after %d", i-back, i)
			}
		}
		if _, ok := m.Get(0); !ok {
			t.Fatalf("what is used is gone after %d", i)
		}
	}
}

// What is too large is not kept, and what it replaces is gone.
func TestTooLarge(t *testing.T) {
	m := New[string, int](10, 100)
	m.Put("a", 1, 50)
	m.Put("b", 2, 10)
	if v, ok := m.Get("a"); !ok || v != 1 {
		t.Error(v, ok)
	}
	m.Put("a", 3, 51)
	if v, ok := m.Get("a"); ok {
		t.Error(v)
	}
	if v, ok := m.Get("b"); !ok || v != 2 {
		t.Error(v, ok)
	}
	if entries, bytes := m.Usage(); entries != 1 || bytes != 10 {
		t.Error(entries, bytes)
	}
}
