package recall

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// lease holds until it is ended, and notes what it was asked.
type lease struct {
	ended atomic.Bool
	asked atomic.Int64
}

func (*lease) Of(any) bool { return true }

func (l *lease) Holds(context.Context) bool {
	l.asked.Add(1)
	return !l.ended.Load()
}

func TestZeroTable(t *testing.T) {
	var table Table[string]
	d := storage.DigestOf("x")
	if v := table.Get(t.Context(), &d); v != nil {
		t.Errorf("%v", v)
	}
	table.Drop(&d)
	value := "x"
	table.Put(&d, nil, &value)
	if v := table.Get(t.Context(), &d); v != nil || table.places.Load() != nil {
		t.Error("kept without a lease")
	}
}

// A value is given for its own digest alone, while its lease holds.
func TestGet(t *testing.T) {
	var table Table[string]
	d, value, l := storage.DigestOf("x"), "x", new(lease)
	table.Put(&d, l, &value)
	if v := table.Get(t.Context(), &d); v != &value {
		t.Errorf("%v", v)
	}
	asked := l.asked.Load()
	for i := range d { // a digest that differs in one bit, wherever that is
		other := d
		other[i] ^= 1
		if v := table.Get(t.Context(), &other); v != nil {
			t.Errorf("byte %d: another digest's value", i)
		}
	}
	if l.asked.Load() != asked {
		t.Error("the lease was asked for another digest")
	}
	l.ended.Store(true)
	if v := table.Get(t.Context(), &d); v != nil {
		t.Errorf("%v after the end of the lease", v)
	}
}

// Two digests of one place: the last one is there, the other one is not, and never the
// other one's value.
func TestOnePlace(t *testing.T) {
	var table Table[string]
	a := storage.DigestOf("x")
	b := a
	b[31]++
	if index(&a) != index(&b) {
		t.Fatal("two places")
	}
	va, vb := "a", "b"
	table.Put(&a, new(lease), &va)
	table.Put(&b, new(lease), &vb)
	if v := table.Get(t.Context(), &a); v != nil {
		t.Errorf("%q", *v)
	}
	if v := table.Get(t.Context(), &b); v != &vb {
		t.Errorf("%v", v)
	}
	table.Put(&a, new(lease), &va)
	if v := table.Get(t.Context(), &a); v != &va {
		t.Errorf("%v", v)
	}
}

// The places are as many as it says, whatever is put, and digests use all of them.
func TestPlaces(t *testing.T) {
	var table Table[string]
	l := new(lease)
	used := make(map[int]bool)
	for i := range 20 * size {
		value := fmt.Sprint(i)
		d := storage.DigestOf(value)
		used[index(&d)] = true
		table.Put(&d, l, &value)
	}
	if len(used) != size {
		t.Errorf("%d of %d places are used", len(used), size)
	}
	there := 0
	for i := range 20 * size {
		d := storage.DigestOf(fmt.Sprint(i))
		if v := table.Get(t.Context(), &d); v != nil {
			there++
			if *v != fmt.Sprint(i) {
				t.Fatalf("%q for %d", *v, i)
			}
		}
	}
	if there != size {
		t.Errorf("%d values are there", there)
	}
}

// 64 goroutines put and get digests of a few places, while one ends leases: what they get
// is their digest's, and none whose end they knew of.
func TestRaces(t *testing.T) {
	var table Table[string]
	const n = 8
	digests, values := make([]storage.Digest, n), make([]string, n)
	var leases [n]atomic.Pointer[lease]
	for i := range n {
		digests[i] = storage.Digest{31: byte(i)} // all of one place
		values[i] = fmt.Sprint(i)
		leases[i].Store(new(lease))
	}
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for k := range 500 {
				i := (g + k) % n
				if k%3 == 0 {
					table.Put(&digests[i], leases[i].Load(), &values[i])
				}
				if v := table.Get(t.Context(), &digests[i]); v != nil && *v != values[i] {
					t.Errorf("%q for %d", *v, i)
				}
				if g == 0 && k%10 == 0 {
					l := leases[i].Swap(new(lease))
					l.ended.Store(true)
				}
			}
		})
	}
	wg.Wait()
	for i := range n {
		leases[i].Load().ended.Store(true)
		if v := table.Get(t.Context(), &digests[i]); v != nil {
			t.Errorf("%d: its lease has ended", i)
		}
	}
}

// What was revoked does not stay in memory: neither after Drop, nor, with other traffic,
// after the lease has ended.
func Test_edge_A20_cleared(t *testing.T) {
	there := func(table *Table[string]) (n int) {
		for i := range table.places.Load() {
			if table.places.Load()[i].Load() != nil {
				n++
			}
		}
		return n
	}
	var table Table[string]
	l, value := new(lease), "x"
	for i := range 1000 {
		d := storage.DigestOf(fmt.Sprint("old", i))
		table.Put(&d, l, &value)
		if table.Drop(&d); i == 999 && there(&table) != 0 {
			t.Errorf("%d are there after Drop", there(&table))
		}
	}
	for i := range 1000 {
		d := storage.DigestOf(fmt.Sprint("old", i))
		table.Put(&d, l, &value)
	}
	l.ended.Store(true)
	d := storage.DigestOf("new")
	for range size {
		table.Put(&d, new(lease), &value)
	}
	if n := there(&table); n != 1 {
		t.Errorf("%d are there after their lease has ended", n)
	}
	other := storage.Digest{2: d[2], 3: d[3]} // of the same place
	table.Drop(&other)
	if there(&table) != 1 {
		t.Error("another digest was dropped")
	}
}
