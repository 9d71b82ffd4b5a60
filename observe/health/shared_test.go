package health_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/observe/health"
)

// A flood of requests costs the database as much as one. A client that disconnects ends nobody's check.
func TestOneCheckForAll_attack_488(t *testing.T) {
	var now atomic.Int64
	var calls atomic.Int64
	asked, answer := make(chan struct{}, 100), make(chan struct{})
	h := health.Ready(health.Checks{
		Clock: func() time.Time { return time.Unix(1_800_000_000, now.Load()) },
		Store: func(ctx context.Context) error {
			calls.Add(1)
			asked <- struct{}{}
			<-answer
			return ctx.Err()
		},
	})
	get := func(ctx context.Context) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
		return w.Code
	}
	var wg sync.WaitGroup
	gone, cancel := context.WithCancel(t.Context())
	wg.Go(func() { get(gone) })
	<-asked
	cancel()
	for range 50 {
		wg.Go(func() {
			if code := get(t.Context()); code != 200 {
				t.Errorf("%d", code)
			}
		})
	}
	close(answer)
	wg.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("%d checks for 51 requests", n)
	}
	now.Store(int64(time.Second))
	if get(t.Context()); calls.Load() != 1 {
		t.Error("checked again within a second")
	}
	now.Store(int64(time.Second) + 1)
	if get(t.Context()); calls.Load() != 2 {
		t.Error("not checked again after a second")
	}
	now.Store(0) // the clock was set back
	if get(t.Context()); calls.Load() != 3 {
		t.Error("not checked again")
	}
}

func TestCheckThatPanics(t *testing.T) {
	h := health.Ready(health.Checks{Store: func(context.Context) error { panic("db-primary.internal") }})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if want := `{"status":"unavailable","store":"unavailable"}` + "\n"; w.Code != 503 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
