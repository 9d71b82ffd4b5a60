package audit

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/observe"
)

// A log that hangs delays no request: events beyond the queue are dropped and counted.
func TestQueueFull(t *testing.T) {
	t.Run("attack_478", func(t *testing.T) {
		var out bytes.Buffer
		var mu sync.Mutex
		dropped := map[string]int{}
		begun, hold := make(chan struct{}, 1), make(chan struct{})
		var got []Kind
		q, err := NewQueue(func(_ context.Context, e Event) {
			select {
			case begun <- struct{}{}:
			default:
			}
			<-hold
			got = append(got, e.Kind)
		}, &QueueOptions{Size: 3, Logger: slog.New(slog.NewTextHandler(&out, nil)), Sink: &observe.Sink{Audit: func(kind string, lost bool) {
			mu.Lock()
			defer mu.Unlock()
			if lost {
				dropped[kind]++
			}
		}}})
		if err != nil {
			t.Fatal(err)
		}
		n := To(q.Add)
		n.Notify(t.Context(), Event{Kind: Logout})
		<-begun // this one is being delivered
		for range 5 {
			n.Notify(t.Context(), Event{Kind: TokenCreated})
		}
		if q.Waiting() != 3 || q.Dropped() != 2 || dropped["token.created"] != 2 {
			t.Errorf("%d waiting, %d dropped, %v", q.Waiting(), q.Dropped(), dropped)
		}
		if strings.Count(out.String(), "audit queue full") != 1 {
			t.Error(out.String())
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Close(gone); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "3 events not delivered") {
			t.Error(err)
		}
		close(hold)
		if err := q.Close(t.Context()); err != nil || len(got) != 4 || got[0] != Logout {
			t.Errorf("%v, %v", err, got)
		}
		n.Notify(t.Context(), Event{Kind: Logout})
		if q.Dropped() != 3 || dropped["logout"] != 1 {
			t.Errorf("%d dropped after Close, %v", q.Dropped(), dropped)
		}
	})
}

func TestQueueOptions(t *testing.T) {
	for _, size := range []int{-1, maxQueue + 1} {
		if _, err := NewQueue(func(context.Context, Event) {}, &QueueOptions{Size: size}); err == nil {
			t.Error(size)
		}
	}
	if _, err := NewQueue(nil, nil); err == nil {
		t.Error("no function")
	}
	q, err := NewQueue(func(context.Context, Event) { panic("x") }, &QueueOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil || cap(q.waiting) != 4096 {
		t.Fatal(err)
	}
	q.Add(t.Context(), Event{})
	if err := q.Close(t.Context()); err != nil { // the panic ended nothing
		t.Error(err)
	}
}

func TestSignals(t *testing.T) {
	var got []string
	s := Signals(To(func(_ context.Context, e Event) {
		got = append(got, strings.Trim(string(e.Kind)+" "+e.Reason, " "))
	}))
	for _, b := range []observe.Bus{
		{Event: observe.LeaseLost, Reason: observe.Start}, {Event: observe.LeaseGained}, {Event: observe.Flushed},
		{Event: observe.LeaseLost, Reason: observe.Timeout}, {Event: observe.LeaseLost, Reason: observe.Timeout}, {Event: observe.LeaseGained},
		{Event: observe.StaleServed, Messages: 3},
	} {
		s.Bus(b)
	}
	for _, on := range []bool{true, false, true} {
		s.Fallback(on)
	}
	for _, wrong := range []bool{false, true, true, false, true} {
		s.Replicas(2, wrong)
	}
	want := "bus.blind timeout, bus.restored, stale.served, limit.fallback, limit.fallback, config.mismatch, config.mismatch"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("%s\nwant %s", text, want)
	}
	if Signals(nil) != nil {
		t.Error("Signals(nil) returned a Sink")
	}
}

type queueKey struct{}

// An event that waits keeps only what it needs in memory: not the request, whose headers can be large and
// hold secrets.
func TestQueueKeepsNoRequest_attack_489(t *testing.T) {
	hold, begun := make(chan struct{}), make(chan struct{}, 200)
	var values []any
	q, err := NewQueue(func(ctx context.Context, _ Event) {
		begun <- struct{}{}
		<-hold
		values = append(values, ctx.Value(queueKey{}), ctx.Value(requestKey{}))
	}, &QueueOptions{Context: func(ctx context.Context) context.Context {
		return context.WithValue(context.Background(), queueKey{}, ctx.Value(queueKey{}))
	}})
	if err != nil {
		t.Fatal(err)
	}
	n := To(q.Add)
	var freed atomic.Int64
	const events, header = 100, 1 << 18
	for range events {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("User-Agent", strings.Repeat("a", header))
		runtime.SetFinalizer(r, func(*http.Request) { freed.Add(1) })
		n.Notify(context.WithValue(Context(r), queueKey{}, "span"), Event{Kind: LoginFailed})
	}
	<-begun
	if q.Waiting() != events-1 {
		t.Fatalf("%d wait", q.Waiting())
	}
	for range 10 { // finalizers run after a collection, on a goroutine of their own
		runtime.GC()
		runtime.Gosched()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if kept := m.HeapAlloc; freed.Load() < events-2 || kept > events*header/2 {
		t.Errorf("%d of %d requests are free, heap of %d bytes", freed.Load(), events, kept)
	}
	close(hold)
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(values) != 2*events || values[0] != "span" || values[1] != nil {
		t.Errorf("%d values, %v", len(values), values[:2])
	}
	plain, err := NewQueue(func(ctx context.Context, _ Event) { values = []any{ctx.Value(queueKey{})} }, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain.Add(context.WithValue(t.Context(), queueKey{}, "span"), Event{})
	if err := plain.Close(t.Context()); err != nil || values[0] != nil {
		t.Errorf("%v, %v", err, values)
	}
}
