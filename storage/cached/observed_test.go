package cached_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Each lookup is reported once, with its result.
func TestLookupsAreReported(t *testing.T) {
	var mu sync.Mutex
	var got []string
	sink := &observe.Sink{Lookup: func(_ context.Context, l observe.Lookup) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, l.Kind.String()+" "+l.Result.String())
	}}
	base := memory.New(nil)
	must(t, base.CreateUser(t.Context(), storage.User{ID: "u", Name: "u", Active: true}))
	s, err := cached.New(base, &cached.Options{Sink: sink, UnknownRate: 1})
	must(t, err)
	is := func(want ...string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(got, want) {
			t.Errorf("%s, want %s", strings.Join(got, ", "), strings.Join(want, ", "))
		}
		got = nil
	}
	look := func(ctx context.Context, text string) error {
		_, _, err := s.SessionByDigest(ctx, storage.DigestOf(text))
		return err
	}
	if _, err := s.SubjectPermissions(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	_, _ = s.SubjectPermissions(t.Context(), "u")
	is("permissions miss", "permissions hit")
	for range 2 {
		if err := look(t.Context(), "unknown"); !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
	}
	is("session miss", "session negative")
	for err = nil; !errors.Is(err, cached.ErrTooManyUnknown); { // the second may end meanwhile
		mu.Lock()
		got = nil
		mu.Unlock()
		for _, text := range []string{"1", "2", "3", "4"} {
			if err = look(t.Context(), text); errors.Is(err, cached.ErrTooManyUnknown) {
				break
			}
		}
	}
	if last := got[len(got)-1]; last != "session flood" {
		t.Error(last)
	}
	got = nil
	must(t, s.InTx(t.Context(), func(ctx context.Context) error {
		_ = look(ctx, "unknown")
		return nil
	}))
	is("session bypass")
	if u := s.UsageOf(cached.Permissions); u.Entries != 1 || u.Bytes == 0 || s.UsageOf(cached.Sessions).Unknown == 0 || s.Usage().Bytes != u.Bytes {
		t.Errorf("%+v", u)
	}
	s.FlushAll()
	if u := s.UsageOf(cached.Permissions); u != (cached.Usage{}) {
		t.Errorf("%+v", u)
	}
}

// A Sink adds no allocation to a hit.
func TestSinkAllocatesNothing(t *testing.T) {
	base := memory.New(nil)
	must(t, base.CreateUser(t.Context(), storage.User{ID: "u", Name: "u", Active: true}))
	measure := func(sink *observe.Sink) float64 {
		s, err := cached.New(base, &cached.Options{Sink: sink})
		must(t, err)
		ctx := t.Context()
		return testing.AllocsPerRun(100, func() { _, _ = s.SubjectPermissions(ctx, "u") })
	}
	hits := 0
	with := measure(&observe.Sink{Lookup: func(context.Context, observe.Lookup) { hits++ }})
	if plain := measure(nil); with != plain || hits < 100 {
		t.Errorf("%v allocations with a sink, %v without; %d reports", with, plain, hits)
	}
}

// BenchmarkSink is a hit without and with a Sink. "ratio" is with to without, which take turns.
func BenchmarkSink(b *testing.B) {
	open := func(sink *observe.Sink) *cached.Store {
		return over(b, made{}, &cached.Options{TTL: cached.MaxTTL, Sink: sink})
	}
	var seen [2]int
	plain, watched := open(nil), open(&observe.Sink{Lookup: func(_ context.Context, l observe.Lookup) { seen[l.Result&1]++ }})
	const n, turn = 10_000, 512
	ctx := ofUser(b, "00000000-alice")
	digests := make([]storage.Digest, n)
	look := func(s *cached.Store, d storage.Digest) {
		if _, _, err := s.StaticTokenByDigest(ctx, d); err != nil {
			b.Fatal(err)
		}
	}
	for i := range digests {
		digests[i] = storage.DigestOf(benchText(i))
		look(plain, digests[i])
		look(watched, digests[i])
	}
	var ratios, with []float64
	b.ResetTimer()
	for i := 0; i < b.N; i += turn {
		var took [2]time.Duration // without, with
		for j := range took {
			which := (i/turn + j) % 2
			s, began := []*cached.Store{plain, watched}[which], time.Now()
			for k := range turn {
				look(s, digests[(i+k*7)%n])
			}
			took[which] = time.Since(began)
		}
		ratios, with = append(ratios, float64(took[1])/float64(took[0])), append(with, float64((took[1]-took[0]).Nanoseconds())/turn)
	}
	slices.Sort(ratios)
	slices.Sort(with)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(with[len(with)/2], "ns/sink")
}
