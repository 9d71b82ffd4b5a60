package introspect

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
)

// answers is a cache of what an issuer said of tokens, bounded in number and bytes. That a
// token is not active is kept in a table of its own, for a second, so that made-up tokens do
// not evict valid ones. Errors are not cached. Of many concurrent questions about one token one
// is sent, and it continues if its own client goes away.
type answers struct {
	ttl   time.Duration
	clock func() time.Time // of expiries
	time  *elapsed.Clock

	mu      sync.Mutex
	live    halves
	dead    halves
	flights map[tokenKey]*flight
	forgot  uint64 // grows when something is forgotten: what was asked before is not kept
}

type tokenKey = [32]byte

const deadTTL = time.Second

// flight is one question that is under way.
type flight struct {
	done   chan struct{}
	token  *Token
	err    error
	forgot uint64
	began  time.Duration
}

var errPanicked = errors.New("introspect: asking the issuer panicked")

// newAnswers has the clock as it was given: nil is the system's.
func newAnswers(o Options, given func() time.Time) *answers {
	entries, bytes := cmp.Or(o.CacheEntries, 8192), cmp.Or(o.CacheBytes, 16<<20)
	return &answers{
		ttl: o.CacheTTL, clock: o.Clock, time: elapsed.New(given), flights: map[tokenKey]*flight{},
		live: halves{entries: max(entries/2, 1), bytes: max(bytes/2, 1)},
		dead: halves{entries: max(entries/8, 1), bytes: max(bytes/8, 1)},
	}
}

// get returns what is known of a token, or asks; nil where it is not live.
func (a *answers) get(ctx context.Context, key tokenKey, ask func(context.Context) (*Token, error)) (*Token, error) {
	a.mu.Lock()
	now := a.time.Now()
	if e, ok := a.live.get(key, now); ok {
		a.mu.Unlock()
		return e.token, nil
	}
	if _, ok := a.dead.get(key, now); ok {
		a.mu.Unlock()
		return nil, nil
	}
	f, ok := a.flights[key]
	if ok && now-f.began < a.ttl { // else its answer would be too old
		a.mu.Unlock()
		select {
		case <-f.done:
			return f.token, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f = &flight{done: make(chan struct{}), err: errPanicked, forgot: a.forgot, began: now}
	a.flights[key] = f
	a.mu.Unlock()
	defer a.land(key, f, now)
	f.token, f.err = ask(context.WithoutCancel(ctx))
	return f.token, f.err
}

// land ends a flight and keeps its answer. The time counts from before the question.
func (a *answers) land(key tokenKey, f *flight, asked time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(f.done)
	if a.flights[key] == f {
		delete(a.flights, key)
	}
	switch {
	case f.err != nil || f.forgot != a.forgot:
	case f.token == nil:
		a.dead.put(key, kept{until: asked + min(deadTTL, a.ttl)})
	default:
		until := asked + a.ttl
		if e := f.token.Expires; !e.IsZero() {
			until = min(until, a.time.Now()+e.Sub(a.clock()))
		}
		// What an answer costs: its text, the values taken from it, the maps.
		a.live.put(key, kept{token: f.token, until: until, size: 2*f.token.Claims.Size() + 512})
	}
}

// forget drops what is known of a token, and lets nobody join a question under way.
func (a *answers) forget(key tokenKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgot++
	a.live.drop(key)
	a.dead.drop(key)
	delete(a.flights, key)
}

// halves is a bounded map: when the young half is full it becomes the old one, and the old
// one is dropped; what is used moves to the young one. The caller holds the lock.
type halves struct {
	entries, bytes int // bounds of a half
	young, old     map[tokenKey]kept
	size           int // of young
}

// kept is one answer.
type kept struct {
	token *Token // nil: not live
	until time.Duration
	size  int
}

func (h *halves) get(key tokenKey, now time.Duration) (kept, bool) {
	e, ok := h.young[key]
	if !ok {
		if e, ok = h.old[key]; ok {
			delete(h.old, key)
			h.put(key, e)
		}
	}
	return e, ok && now < e.until
}

func (h *halves) put(key tokenKey, e kept) {
	if e.size > h.bytes {
		return
	}
	h.drop(key)
	if len(h.young) >= h.entries || h.size+e.size > h.bytes {
		h.old, h.young, h.size = h.young, nil, 0
	}
	if h.young == nil {
		h.young = make(map[tokenKey]kept)
	}
	h.young[key] = e
	h.size += e.size
}

func (h *halves) drop(key tokenKey) {
	h.size -= h.young[key].size
	delete(h.young, key)
	delete(h.old, key)
}
