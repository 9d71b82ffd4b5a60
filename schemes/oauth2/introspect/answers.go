package introspect

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/flight"
)

// answers keeps what an issuer said of tokens, bounded in number and bytes. That a token is
// not active is kept apart, for a second, so that made-up tokens do not push the good ones out.
// Errors are not kept. Of many at once that need to know of one token one asks, and goes on if
// its own client goes away.
type answers struct {
	ttl   time.Duration
	clock func() time.Time // of expiries
	time  *elapsed.Clock

	mu     sync.Mutex
	live   *bounded.Map[tokenKey, kept]
	dead   *bounded.Map[tokenKey, time.Duration] // until when
	calls  flight.Group[tokenKey, result]
	forgot atomic.Uint64 // grows when something is forgotten: what was asked before is not kept
}

type tokenKey = [32]byte

const deadTTL = time.Second

// result is the result of one question.
type result struct {
	token  *Token // nil: not active
	err    error
	forgot uint64 // what answers.forgot was when it was asked
}

// kept is an answer of an active token.
type kept struct {
	token *Token
	until time.Duration
}

// answerLease is for the identity that is made of an answer: it holds until that is too old, or
// something is forgotten.
type answerLease struct {
	of     *answers
	until  time.Duration
	forgot uint64
}

// Valid implements authn.Lease.
func (l *answerLease) Valid(ctx context.Context) bool { return l.ValidAt(ctx, elapsed.Read()) }

// ValidAt is Holds for a caller that has read the clock (package authn).
func (l *answerLease) ValidAt(_ context.Context, now elapsed.Instant) bool {
	return l.of.forgot.Load() == l.forgot && l.of.time.At(now) < l.until
}

var errPanicked = errors.New("introspect: asking the issuer panicked")

// newAnswers has the clock as it was given: nil is the system's.
func newAnswers(o Options, given func() time.Time) *answers {
	entries, bytes := cmp.Or(o.CacheEntries, 8192), cmp.Or(o.CacheBytes, 16<<20)
	return &answers{
		ttl: o.CacheTTL, clock: o.Clock, time: elapsed.New(given),
		live: bounded.New[tokenKey, kept](entries, bytes),
		dead: bounded.New[tokenKey, time.Duration](entries/4, entries/4),
	}
}

// get returns what is known of a token, with a lease, or asks if q admits it; nil if the token is
// not active.
func (a *answers) get(ctx context.Context, key tokenKey, q *queries, ask func(context.Context, slot) (*Token, error)) (*Token, *answerLease, error) {
	a.mu.Lock()
	now := a.time.Now()
	if e, ok := a.live.Get(key); ok && now < e.until {
		lease := &answerLease{a, e.until, a.forgot.Load()}
		a.mu.Unlock()
		return e.token, lease, nil
	}
	if until, ok := a.dead.Get(key); ok && now < until {
		a.mu.Unlock()
		return nil, nil, nil
	}
	c := a.calls.Get(key)
	if c != nil && now-c.Began < a.ttl { // else its answer would be too old
		a.mu.Unlock()
		if err := c.Wait(ctx); err != nil {
			return nil, nil, err
		}
		return c.Result.token, nil, c.Result.err
	}
	at, err := q.begin(ctx)
	if err != nil { // before there is a call that others could join
		a.mu.Unlock()
		return nil, nil, err
	}
	c = a.calls.Begin(key, now)
	c.Result = result{err: errPanicked, forgot: a.forgot.Load()}
	a.mu.Unlock()
	defer a.land(key, c)
	c.Result.token, c.Result.err = ask(context.WithoutCancel(ctx), at)
	return c.Result.token, nil, c.Result.err
}

// land ends a call and keeps its answer. The time counts from before the question.
func (a *answers) land(key tokenKey, c *flight.Call[result]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls.End(key, c)
	switch got := c.Result; {
	case got.err != nil || got.forgot != a.forgot.Load():
	case got.token == nil:
		a.dead.Put(key, c.Began+min(deadTTL, a.ttl), 1)
	default:
		until := c.Began + a.ttl
		if e := got.token.Expires; !e.IsZero() {
			until = min(until, a.time.Now()+e.Sub(a.clock()))
		}
		// What an answer costs: its text, the values taken from it, the maps.
		a.live.Put(key, kept{got.token, until}, 2*got.token.Claims.Size()+512)
	}
}

// forget drops what is known of a token, and lets nobody join a question under way.
func (a *answers) forget(key tokenKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgot.Add(1)
	a.live.Drop(key)
	a.dead.Drop(key)
	a.calls.Forget(key)
}
