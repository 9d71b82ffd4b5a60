package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/vestibule-auth/vestibule/observe"
)

// QueueOptions configure a [Queue]. A nil *QueueOptions means all defaults.
type QueueOptions struct {
	// Size is the maximum number of events that wait; 0 means 4,096, and the maximum is 1,048,576.
	Size int
	// Context returns the context for the function, with the values of ctx that it needs, such as the
	// trace span. It MUST NOT return ctx, or a context that wraps it: that would keep the request, with
	// its headers, in memory while the event waits. Nil means context.Background().
	Context func(ctx context.Context) context.Context
	// Sink receives the kind of each dropped event, for metrics. Nil means none.
	Sink *observe.Sink
	// Logger receives a message at Warn when the first event is dropped after the queue was empty.
	// It receives panics of the function at Error. Nil means slog.Default().
	Logger *slog.Logger
}

const (
	defaultQueue = 4096
	maxQueue     = 1 << 20
)

// Queue passes events to a function on a goroutine of its own, so that a slow log does not delay
// requests. If the queue is full, events are dropped and counted: for events that must not be lost set
// [Options.Required]. Create one with [NewQueue], pass Add to [New], and close it before the process
// ends:
//
//	queue, err := audit.NewQueue(write, nil)
//	defer queue.Close(ctx)
//	events, err := audit.New(queue.Add, &audit.Options{Keys: ring})
//
// It is safe for concurrent use.
type Queue struct {
	deliver func(context.Context, Event)
	opts    QueueOptions
	waiting chan queued
	done    chan struct{} // closed when the last event was delivered

	mu      sync.RWMutex
	closed  bool
	dropped atomic.Uint64
	full    atomic.Bool // a drop was logged since the queue was empty
}

type queued struct {
	ctx context.Context
	e   Event
}

// NewQueue returns a queue that calls deliver for one event after the other, in the order of Add, and
// starts its goroutine. It returns an error if deliver is nil or Size is out of range.
func NewQueue(deliver func(context.Context, Event), opts *QueueOptions) (*Queue, error) {
	var o QueueOptions
	if opts != nil {
		o = *opts
	}
	if o.Size == 0 {
		o.Size = defaultQueue
	}
	if deliver == nil || o.Size < 0 || o.Size > maxQueue {
		return nil, fmt.Errorf("audit: NewQueue: the function is nil, or Size %d is out of range (1 to %d)", o.Size, maxQueue)
	}
	q := &Queue{deliver: deliver, opts: o, waiting: make(chan queued, o.Size), done: make(chan struct{})}
	go q.run()
	return q, nil
}

// Add queues an event. It never waits. The function does not get ctx; see QueueOptions.Context.
func (q *Queue) Add(ctx context.Context, e Event) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if !q.closed {
		select {
		case q.waiting <- queued{q.detached(ctx), e}:
			return
		default:
		}
	}
	n := q.dropped.Add(1)
	if s := q.opts.Sink; s != nil && s.Audit != nil {
		s.Audit(string(e.Kind), true)
	}
	if !q.full.Swap(true) {
		q.logger().LogAttrs(ctx, slog.LevelWarn, "audit queue full; events dropped", slog.String("kind", string(e.Kind)), slog.Uint64("dropped", n))
	}
}

// detached returns the context for the function.
func (q *Queue) detached(ctx context.Context) context.Context {
	if q.opts.Context != nil {
		if d, err := Call("audit.QueueOptions.Context", func() (context.Context, error) { return q.opts.Context(ctx), nil }); err == nil && d != nil {
			return d
		}
	}
	return context.Background()
}

func (q *Queue) run() {
	defer close(q.done)
	for x := range q.waiting {
		Notify(x.ctx, q.opts.Logger, x.e.Scheme, q.deliver, x.e)
		if len(q.waiting) == 0 {
			q.full.Store(false)
		}
	}
}

// Dropped returns the number of events that were dropped because the queue was full or closed.
func (q *Queue) Dropped() uint64 { return q.dropped.Load() }

// Waiting returns the number of events that wait.
func (q *Queue) Waiting() int { return len(q.waiting) }

// Close waits until all events are delivered, or until ctx ends. Later events are dropped. Call it after
// the server has stopped. If ctx ends first, Close returns an error with the number of events that
// still wait; they are delivered if the process lives on.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.waiting)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("audit: Close: %d events not delivered", len(q.waiting)), ctx.Err())
	}
}

func (q *Queue) logger() *slog.Logger {
	if q.opts.Logger != nil {
		return q.opts.Logger
	}
	return slog.Default()
}
