package password

import (
	"context"
	"sync"
	"time"
)

// queue lets a number of computations run at once, and a bounded number wait for
// them, first come first served.
type queue struct {
	slots   chan struct{}
	maxWait time.Duration
	max     int // waiting at once
	share   int // of them from one source

	mu       sync.Mutex
	waiting  int
	bySource map[string]int
}

func newQueue(slots int, maxWait time.Duration, maxWaiting int) *queue {
	return &queue{
		slots: make(chan struct{}, slots), maxWait: maxWait, max: maxWaiting,
		share: max(1, maxWaiting/4), bySource: make(map[string]int),
	}
}

// enter waits for a slot, which a release hands to whoever has waited longest. The
// caller calls release once, when it has computed. A wait that ends without a slot
// leaves nothing behind.
func (q *queue) enter(ctx context.Context, source string) (release func(), err error) {
	release = func() { <-q.slots }
	select {
	case q.slots <- struct{}{}: // free; nobody waits for it
		return release, nil
	default:
	}
	if !q.join(source) {
		return nil, errBusy(q.maxWait)
	}
	defer q.leave(source)
	timer := time.NewTimer(q.maxWait)
	defer timer.Stop()
	select {
	case q.slots <- struct{}{}:
		return release, nil
	case <-timer.C:
		return nil, errBusy(q.maxWait)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join takes a waiting place, unless all, or the source's share, are taken.
func (q *queue) join(source string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting >= q.max || q.bySource[source] >= q.share {
		return false
	}
	q.waiting++
	q.bySource[source]++
	return true
}

func (q *queue) leave(source string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting--
	if q.bySource[source]--; q.bySource[source] == 0 {
		delete(q.bySource, source)
	}
}
