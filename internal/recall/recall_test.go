package recall

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// lease holds until it is ended, and notes what it was asked.
type lease struct {
	ended atomic.Bool
	asked atomic.Int64
	at    atomic.Pointer[time.Time]
}

func (*lease) Of(any) bool { return true }

func (l *lease) Holds(_ context.Context, now time.Time) bool {
	l.asked.Add(1)
	l.at.Store(&now)
	return !l.ended.Load()
}

var noon = time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)

func still() time.Time { return noon }

func TestZeroTable(t *testing.T) {
	var table Table[string]
	d := storage.DigestOf("x")
	never := func() time.Time { t.Error("the clock was read with nothing to judge"); return noon }
	if v, now := table.Get(t.Context(), &d, never); v != nil || !now.IsZero() {
		t.Errorf("%v at %v", v, now)
	}
	value := "x"
	table.Put(&d, nil, &value)
	if v, _ := table.Get(t.Context(), &d, never); v != nil || table.places.Load() != nil {
		t.Error("kept without a lease")
	}
}

// A value is given for its own digest alone, while its lease holds.
func TestGet(t *testing.T) {
	var table Table[string]
	d, value, l := storage.DigestOf("x"), "x", new(lease)
	table.Put(&d, l, &value)
	if v, now := table.Get(t.Context(), &d, still); v != &value || now != noon || *l.at.Load() != noon {
		t.Errorf("%v at %v", v, now)
	}
	asked := l.asked.Load()
	for i := range d { // a digest that differs in one bit, wherever that is
		other := d
		other[i] ^= 1
		if v, now := table.Get(t.Context(), &other, still); v != nil || !now.IsZero() {
			t.Errorf("byte %d: another digest's value at %v", i, now)
		}
	}
	if l.asked.Load() != asked {
		t.Error("the lease was asked for another digest")
	}
	l.ended.Store(true)
	if v, now := table.Get(t.Context(), &d, still); v != nil || now != noon {
		t.Errorf("%v at %v after the end of the lease", v, now)
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
	if v, _ := table.Get(t.Context(), &a, still); v != nil {
		t.Errorf("%q", *v)
	}
	if v, _ := table.Get(t.Context(), &b, still); v != &vb {
		t.Errorf("%v", v)
	}
	table.Put(&a, new(lease), &va)
	if v, _ := table.Get(t.Context(), &a, still); v != &va {
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
		if v, _ := table.Get(t.Context(), &d, still); v != nil {
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
				if v, _ := table.Get(t.Context(), &digests[i], still); v != nil && *v != values[i] {
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
		if v, _ := table.Get(t.Context(), &digests[i], still); v != nil {
			t.Errorf("%d: its lease has ended", i)
		}
	}
}
