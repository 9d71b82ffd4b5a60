package cached_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// many is a number of entries that the race detector bears too.
func many(t testing.TB, n int) int {
	if raceEnabled || testing.Short() {
		return n / 100
	}
	return n
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What does not exist is looked up once in a second, and again when it was created. A
// flood of it stays in its budget, and pushes nothing good out.
func TestUnknown(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		t.Run("attack_108_no_false_answer", func(t *testing.T) {
			w := newWorld(t, base, nil)
			w.add("alice")
			d := storage.DigestOf("alice 0")
			unknown := credential{name: "unknown", good: w.static(d)}
			if n := w.asked(func() {
				for range 100 {
					w.is(unknown, false, "it does not exist")
				}
			}); n != 1 {
				t.Errorf("asked %d times", n)
			}
			w.clock.forward(time.Second)
			if n := w.asked(func() { w.is(unknown, false, "it does not exist") }); n != 1 {
				t.Errorf("asked %d times after a second", n)
			}
			w.must(w.s.PutStaticToken(w.ctx, storage.StaticToken{Digest: d, Subject: "alice", Salt: []byte("salt")}, storage.Digest{}))
			w.is(unknown, true, "it was created")
			w.must(w.s.DeleteStaticToken(w.ctx, d))
			w.is(unknown, false, "it was deleted")
		})
	})
}

// Each kind's creation clears that it was unknown.
func TestCreationClears_attack_237(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	w.add("alice")
	w.must(w.s.CreateClient(w.ctx, storage.Client{ID: "c", Method: "none"}))
	d, end := storage.DigestOf("x"), now.Add(time.Hour)
	for name, kind := range map[string]struct {
		look   func() error
		create func() error
	}{
		"device": {func() error { _, _, err := w.s.CredentialByDigest(w.ctx, "knox", d); return err }, func() error {
			_, err := w.s.CreateCredential(w.ctx, storage.Credential{Purpose: "knox", Digest: d, ID: "x", Subject: "alice"}, storage.CredentialLimit{})
			return err
		}},
		"session": {func() error { _, _, err := w.s.SessionByDigest(w.ctx, d); return err }, func() error {
			return w.s.CreateSession(w.ctx, storage.Session{Digest: d, ID: "x", Expires: end, Ends: end}, storage.Digest{})
		}},
		"access": {func() error { _, err := w.s.AccessByDigest(w.ctx, d); return err }, func() error {
			return w.s.CreateAccess(w.ctx, storage.AccessToken{Digest: d, ID: "x", Client: "c", Expires: end})
		}},
	} {
		if err := kind.look(); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		w.must(kind.create())
		if err := kind.look(); err != nil {
			t.Errorf("%s: unknown after it was created: %v", name, err)
		}
	}
}

func TestFlood(t *testing.T) {
	t.Run("attack_108_million_unknown", func(t *testing.T) {
		const rate = 100
		w := newWorld(t, memory.New(nil), &cached.Options{UnknownRate: rate, MaxUnknown: 5000})
		w.add("alice")
		good := w.give("alice")[0]
		w.is(good, true, "it is there")
		n := many(t, 1_000_000)
		refused := 0
		before := heap()
		asked := w.asked(func() {
			for i := range n {
				if i%(n/10) == 0 {
					w.clock.forward(time.Second) // ten of them
				}
				switch _, _, err := w.s.StaticTokenByDigest(w.ctx, storage.DigestOf(fmt.Sprint("junk", i))); {
				case errors.Is(err, cached.ErrTooManyUnknown):
					refused++
				case !errors.Is(err, storage.ErrNotFound):
					t.Fatal(err)
				}
			}
		})
		if asked != 10*rate || refused != n-10*rate {
			t.Errorf("the store was asked %d times, %d lookups were refused", asked, refused)
		}
		if w.asked(func() { w.is(good, true, "during the flood") }) != 0 {
			t.Error("the flood pushed a good one out")
		}
		if after := heap(); after > before+1<<20 {
			t.Errorf("%d bytes more", after-before)
		}
	})
	t.Run("attack_108_budget_of_its_own", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), &cached.Options{UnknownRate: 1 << 40, MaxUnknown: 1000, MaxEntries: 1000})
		w.add("alice")
		good := w.give("alice")[0]
		w.is(good, true, "it is there")
		for i := range many(t, 100_000) {
			d := storage.DigestOf(fmt.Sprint("junk", i))
			if _, _, err := w.s.SessionByDigest(w.ctx, d); !errors.Is(err, storage.ErrNotFound) {
				t.Fatal(err)
			}
			if i%1000 == 0 {
				if u := w.s.Usage(); u.Unknown > 1000 || u.Entries != 1 {
					t.Fatalf("%+v", u)
				}
			}
		}
		if w.asked(func() { w.is(good, true, "during the flood") }) != 0 {
			t.Error("the flood pushed a good one out")
		}
	})
	t.Run("attack_109_revoking_what_is_unknown", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		for i := range many(t, 100_000) {
			d := storage.DigestOf(fmt.Sprint("junk", i))
			if err := w.s.DeleteAccess(w.ctx, d); !errors.Is(err, storage.ErrNotFound) {
				t.Fatal(err)
			}
			w.must(w.s.Block(w.ctx, now))
		}
		if u := w.s.Usage(); u != (cached.Usage{}) {
			t.Errorf("%+v", u)
		}
	})
}

// The bounds hold at all times, whatever the entries are.
func TestBounds(t *testing.T) {
	t.Run("attack_107_memory_at_all_times", func(t *testing.T) {
		const entries, bytes = 500, 300_000
		w := newWorld(t, memory.New(nil), &cached.Options{MaxEntries: entries, MaxBytes: bytes})
		most := cached.Usage{}
		for i := range many(t, 3000) {
			v := w.session("", fmt.Sprint("s", i), 0)
			v.Data = make([]byte, i*7919%4000)
			w.must(w.base.Base.CreateSession(w.ctx, v, storage.Digest{}))
			for range 2 {
				if got, _, err := w.s.SessionByDigest(w.ctx, v.Digest); err != nil || len(got.Data) != len(v.Data) {
					t.Fatal(len(got.Data), err)
				}
			}
			u := w.s.Usage()
			most.Entries, most.Bytes = max(most.Entries, u.Entries), max(most.Bytes, u.Bytes)
			if u.Entries > entries || u.Bytes > bytes || u.Entries == 0 {
				t.Fatalf("%+v", u)
			}
		}
		if most.Bytes < bytes/2 && !raceEnabled && !testing.Short() {
			t.Errorf("at most %+v was used", most)
		}
		tiny := newWorld(t, w.base.Base, &cached.Options{MaxEntries: 1, MaxBytes: 100, MaxUnknown: 1})
		d := storage.DigestOf("s1")
		for range 2 {
			if n := tiny.asked(func() { _, _, _ = tiny.s.SessionByDigest(tiny.ctx, d) }); n != 1 || tiny.s.Usage().Entries != 0 {
				t.Errorf("an entry that is larger than the bound is kept")
			}
		}
	})
}

// TestMemory measures what entries take, each of another account; at this number a map
// of Go is almost half empty, as with a million.
func TestMemory(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("measures")
	}
	for _, kind := range madeKinds {
		t.Run(kind, func(t *testing.T) {
			each, estimate := perEntry(t, kind, 120_000)
			t.Logf("%.0f bytes each, estimated %.0f", each, estimate)
			if each > 400 || estimate < each {
				t.Errorf("%.0f bytes each, estimated %.0f", each, estimate)
			}
		})
	}
}

// BenchmarkMemory is TestMemory with a million entries.
func BenchmarkMemory(b *testing.B) {
	for _, kind := range madeKinds {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				each, _ := perEntry(b, kind, 1_000_000)
				b.ReportMetric(each, "B/entry")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// perEntry returns what each of n entries takes, and the estimate.
func perEntry(t testing.TB, kind string, n int) (each, estimate float64) {
	s := over(t, made{}, &cached.Options{MaxEntries: n + n/10, MaxBytes: 1 << 30, Clock: still})
	before := heap()
	for i := range n {
		must(t, askMade(t, s, kind, i))
	}
	u := s.Usage()
	each, estimate = float64(heap()-before)/float64(u.Entries), float64(u.Bytes)/float64(u.Entries)
	if u.Entries != n {
		t.Errorf("%d of %d entries", u.Entries, n)
	}
	runtime.KeepAlive(s)
	return each, estimate
}
