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

// answers caches the issuer's responses about tokens, limited in number and bytes. Responses for
// inactive tokens are cached separately, for a second, so that random tokens cannot evict active
// ones. Errors are not cached. Of concurrent requests with the same token one queries the issuer,
// and continues even if its own client disconnects.
type answers struct {
	ttl   time.Duration
	clock func() time.Time // for the expiry of tokens
	time  *elapsed.Clock

	mu     sync.Mutex
	live   *bounded.Map[tokenKey, kept]
	dead   *bounded.Map[tokenKey, time.Duration] // end of the entry
	calls  flight.Group[tokenKey, result]
	forgot atomic.Uint64 // incremented by forget; results of earlier queries are not cached
}

type tokenKey = [32]byte

const deadTTL = time.Second

// result is the result of one query.
type result struct {
	token  *Token // nil if not active
	err    error
	forgot uint64 // the value of answers.forgot when the query began
}

// kept is a cached response about an active token.
type kept struct {
	token *Token
	until time.Duration
}

// answerLease is the lease of an identity that was created from a response. It is valid until the
// response is too old or forget is called.
type answerLease struct {
	of     *answers
	until  time.Duration
	forgot uint64
}

// Valid implements authn.Lease.
func (l *answerLease) Valid(ctx context.Context) bool { return l.ValidAt(ctx, elapsed.Read()) }

// ValidAt is Valid for a caller that has already read the clock (package authn).
func (l *answerLease) ValidAt(_ context.Context, now elapsed.Instant) bool {
	return l.of.forgot.Load() == l.forgot && l.of.time.At(now) < l.until
}

var errPanicked = errors.New("introspect: query panicked")

// newAnswers returns an empty cache. given is Options.Clock; nil means the system clock.
func newAnswers(o Options, given func() time.Time) *answers {
	entries, bytes := cmp.Or(o.CacheEntries, 8192), cmp.Or(o.CacheBytes, 16<<20)
	return &answers{
		ttl: o.CacheTTL, clock: o.Clock, time: elapsed.New(given),
		live: bounded.New[tokenKey, kept](entries, bytes),
		dead: bounded.New[tokenKey, time.Duration](entries/4, entries/4),
	}
}

// get returns the cached response about a token, with a lease, or queries the issuer if q admits
// the query. It returns nil if the token is not active.
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
	if c != nil && now-c.Began < a.ttl { // otherwise its result would be too old
		a.mu.Unlock()
		if err := c.Wait(ctx); err != nil {
			return nil, nil, err
		}
		return c.Result.token, nil, c.Result.err
	}
	at, err := q.begin(ctx)
	if err != nil { // before other requests can join the call
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

// land ends a call and caches its response. The TTL counts from the begin of the query.
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
		// The cost of a response: its text, the values parsed from it, and the maps.
		a.live.Put(key, kept{got.token, until}, 2*got.token.Claims.Size()+512)
	}
}

// forget removes the response about a token, and prevents requests from joining a running query.
func (a *answers) forget(key tokenKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgot.Add(1)
	a.live.Drop(key)
	a.dead.Drop(key)
	a.calls.Forget(key)
}
