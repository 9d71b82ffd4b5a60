package recent

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

var seed = maphash.MakeSeed()

// Whatever is added, removed by its age and added again: a name that came late enough is found.
func TestSet_attack_108_never_misses(t *testing.T) {
	const names, most = 2000, 1500
	s, model := New(most), map[Key]uint32{}
	for range 100_000 {
		k := KeyOf(seed, fmt.Sprint(rand.N(names)))
		switch second := rand.N[uint32](50); rand.N(50) {
		case 0:
			s.Prune(second)
			for k, at := range model {
				if at < second {
					delete(model, k)
				}
			}
		case 1:
			if rand.N(100) == 0 {
				s.Clear()
				clear(model)
			}
		default:
			_, had := model[k]
			if added := s.Add(k, second); added != (had || len(model) < most) {
				t.Fatalf("added %v with %d of %d names", added, len(model), most)
			} else if added {
				model[k] = max(model[k], second)
			}
		}
		if _, want := model[k]; s.Has(k) != want {
			t.Fatalf("has is %v, want %v", !want, want)
		}
		if s.Len() != len(model) {
			t.Fatalf("%d names, want %d", s.Len(), len(model))
		}
	}
}

// A name is found once Add has returned, and Changes has moved, whatever else happens.
func TestSet_attack_108_concurrent(t *testing.T) {
	s := New(1 << 20)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 3000 {
				k, before := KeyOf(seed, fmt.Sprint(w, " ", i)), s.Changes()
				if !s.Add(k, 7) || !s.Has(k) || s.Changes() == before {
					t.Errorf("not found")
				}
				if i%500 == 0 {
					s.Prune(7)
				}
			}
		})
	}
	wg.Wait()
	if s.Len() != 8*3000 {
		t.Errorf("%d names", s.Len())
	}
	s.Prune(8)
	if s.Len() != 0 {
		t.Errorf("%d names left", s.Len())
	}
}

// A million names take less than 64 bytes each, and their memory is returned.
func TestSet_attack_107_memory(t *testing.T) {
	const names = 1_000_000
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, s := heap(), New(names)
	for i := range uint64(names) {
		s.Add(Key(i*0x9e3779b97f4a7c15), 1)
	}
	if s.Add(1, 1) {
		t.Error("one more was added")
	}
	each := (heap() - before) / names
	t.Logf("%d bytes a name", each)
	if each > 64 {
		t.Errorf("%d bytes a name", each)
	}
	s.Prune(2)
	if left := heap() - before; left > 1<<20 {
		t.Errorf("%d bytes left", left)
	}
	runtime.KeepAlive(s)
}

func BenchmarkHas(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := New(n)
			for i := range uint64(n) {
				s.Add(Key(i*0x9e3779b97f4a7c15), 1)
			}
			b.ReportAllocs()
			b.ResetTimer()
			found, k := 0, uint64(0)
			for range b.N {
				k += 0xbf58476d1ce4e5b9
				if s.Has(Key(k)) {
					found++
				}
			}
			if found > b.N/2 {
				b.Fatal(found)
			}
		})
	}
}
