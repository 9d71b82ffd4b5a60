package flight

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// owner shares the calls of a slow function, as the caches do.
type owner struct {
	mu    sync.Mutex
	group Group[string, int]
}

func (o *owner) get(ctx context.Context, k string, f func() int) (int, error) {
	o.mu.Lock()
	if c := o.group.Get(k); c != nil {
		o.mu.Unlock()
		if err := c.Wait(ctx); err != nil {
			return 0, err
		}
		return c.Result, nil
	}
	c := o.group.Begin(k, 0)
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.group.End(k, c)
	}()
	c.Result = f()
	return c.Result, nil
}

// 64 at once make one call, and all get its result; also where it panics, everybody goes on.
func TestGroup(t *testing.T) {
	var o owner
	hold, entered := make(chan struct{}), make(chan struct{})
	made := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := o.get(t.Context(), "a", func() int { made++; close(entered); <-hold; return 7 }); n != 7 || err != nil {
			t.Error(n, err)
		}
	})
	<-entered
	for range 63 {
		wg.Go(func() {
			if n, err := o.get(t.Context(), "a", func() int { made++; return 8 }); n != 7 && n != 8 || err != nil {
				t.Error(n, err)
			}
		})
	}
	if n, err := o.get(t.Context(), "b", func() int { return 9 }); n != 9 || err != nil {
		t.Error(n, err) // another key does not wait
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.get(ctx, "a", nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(hold)
	wg.Wait()
	func() {
		defer func() { _ = recover() }()
		_, _ = o.get(t.Context(), "c", func() int { panic("x") })
	}()
	if n, err := o.get(t.Context(), "c", func() int { return 1 }); n != 1 || err != nil {
		t.Error(n, err)
	}
	if len(o.group.calls) != 0 {
		t.Errorf("%d calls are left", len(o.group.calls))
	}
}

// A call that is forgotten is joined by nobody, and its end leaves the one that took its place.
func TestForget(t *testing.T) {
	var g Group[string, int]
	first := g.Begin("a", time.Second)
	if g.Get("a") != first || first.Began != time.Second {
		t.Error("not under way")
	}
	g.Forget("a")
	if g.Get("a") != nil {
		t.Error("under way after Forget")
	}
	second := g.Begin("a", 0)
	first.Result = 1
	g.End("a", first)
	if err := first.Wait(t.Context()); err != nil || first.Result != 1 {
		t.Error("those that waited got nothing", err)
	}
	if g.Get("a") != second {
		t.Error("the end of a forgotten call ended another one")
	}
	g.Clear()
	if g.Get("a") != nil {
		t.Error("under way after Clear")
	}
	g.End("a", second)
}
