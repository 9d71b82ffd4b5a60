// Package flight lets callers that need the same answer at the same time share one call.
package flight

import (
	"context"
	"time"
)

// Group holds the calls that are under way, by key. The zero Group is ready. It is not safe for
// concurrent use: its owner has a lock that guards it together with what the calls fill, so
// that between "it is not there" and "somebody is fetching it" nothing can happen.
type Group[K comparable, R any] struct{ calls map[K]*Call[R] }

// Call is one that several wait for.
type Call[R any] struct {
	// Began is when, by the clock of the owner: an answer is as old as its question.
	Began time.Duration
	// Result is set by the caller that makes the call, before End. Others read it after Wait.
	Result R

	done chan struct{}
}

// Get returns the call of a key that is under way, or nil.
func (g *Group[K, R]) Get(k K) *Call[R] { return g.calls[k] }

// Begin returns a new call, which the caller must make and End. It takes the place of one that
// is under way: others join the new one.
func (g *Group[K, R]) Begin(k K, now time.Duration) *Call[R] {
	c := &Call[R]{Began: now, done: make(chan struct{})}
	if g.calls == nil {
		g.calls = make(map[K]*Call[R])
	}
	g.calls[k] = c
	return c
}

// End gives the result to those that wait. Call it also if the call panics.
func (g *Group[K, R]) End(k K, c *Call[R]) {
	if g.calls[k] == c {
		delete(g.calls, k)
	}
	close(c.done)
}

// Forget lets nobody join the call of a key any more. Those that wait get its result.
func (g *Group[K, R]) Forget(k K) { delete(g.calls, k) }

// Clear forgets all calls.
func (g *Group[K, R]) Clear() { clear(g.calls) }

// Wait waits for the result, without the owner's lock. It returns the error of ctx if that ends
// first.
func (c *Call[R]) Wait(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
