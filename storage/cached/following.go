package cached

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/flood"
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
)

// untoldTTL is the maximum age of entries whose changes no courier delivers.
const untoldTTL = 30 * time.Second

// following is the state of a Store with a courier. Its cache answers only while the lease holds.
//
// Proof that no process accepts what was revoked for longer than bus.Bound: let a revocation be
// acknowledged at a, and let this process use its cache at u. Its lease was granted for a question
// that was asked at t, with u < t + bus.Lease. If t is not before a, the change was applied before
// the lease was granted. Otherwise u < a + bus.Lease. All three are moments of this process's clock.
type following struct {
	lease   elapsed.Lease
	stale   bool // Options.ServeStale
	courier bus.Courier
	slots   *slots
	logger  *slog.Logger
	sink    *observe.Sink
	name    string // of the courier

	delivered [kinds]bool           // the courier delivers the changes of the kind's store
	accounts  atomic.Bool           // and those of the account table
	begun     atomic.Bool           // a lease was granted
	linked    atomic.Bool           // and the connection that proved it is used still
	fault     atomic.Pointer[error] // the last error of the courier

	lost, lookups, refused, served atomic.Uint64
}

// blindWait is how long a lookup without a lease waits for others.
const blindWait = 250 * time.Millisecond

func newFollowing(o *Options, base Base) (*following, error) {
	if o.Courier == nil {
		if o.BlindLookups != 0 || o.ServeStale {
			return nil, errors.New("cached: New: BlindLookups and ServeStale require a Courier")
		}
		return nil, nil
	}
	orElse(&o.BlindLookups, 64)
	f := &following{courier: o.Courier, stale: o.ServeStale, slots: newSlots(o.BlindLookups), logger: o.Logger, sink: o.Sink, name: nameOf(o.Courier)}
	some := false
	for k := range kinds {
		f.delivered[k] = o.Courier.Delivers(storeOf(base, k))
		some = some || f.delivered[k]
	}
	if !some {
		return nil, fmt.Errorf("cached: New: Courier %T belongs to another store (create it for the store that you cache)", o.Courier)
	}
	return f, nil
}

// storeOf returns the store that answers lookups of a kind.
func storeOf(base Base, k Kind) any {
	p, ok := base.(*partial)
	if !ok {
		return base
	}
	switch k {
	case StaticTokens:
		return p.StaticTokens
	case Credentials:
		return p.Credentials
	case Sessions:
		return p.Sessions
	case AccessTokens:
		return p.AccessTokens
	case LiveUsers:
		return p.Users
	case Permissions:
		return p.Permissions
	case Clients:
		return p.Clients
	case Links:
		return p.Links
	}
	return p.Blocklist
}

// fresh reports whether cached answers can be used at an instant. The caller compares the counters
// afterwards: a change that was applied before the lease was granted is then visible.
func (s *Store) fresh(now elapsed.Instant) bool {
	f := s.follow
	return f == nil || f.lease.Holds(now) || f.stale
}

// used counts a use of a cached entry without a lease. It returns true.
func (s *Store) used(now elapsed.Instant) bool {
	if f := s.follow; f != nil && f.stale && !f.lease.Holds(now) {
		f.served.Add(1)
	}
	return true
}

// ttlOf returns how long an answer of a kind is kept.
func (s *Store) ttlOf(k Kind) time.Duration {
	f := s.follow
	if f == nil || f.delivered[k] && (f.accounts.Load() || k == Standings || k == Permissions || k == Clients) { // these have no account
		return s.ttl
	}
	return min(s.ttl, untoldTTL)
}

// blind waits until the caller can look up k without a lease. It returns false if too many others
// do for too long.
func (s *Store) blind(ctx context.Context, k Key, stranger bool) (done func(), ok bool) {
	f := s.follow
	f.lookups.Add(1)
	c := claim{owner{flood.NetOf(storage.ClientAddr(ctx)), stranger}, k}
	if done, ok = f.slots.take(c, blindWait); !ok {
		f.refused.Add(1)
	}
	return done, ok
}

// Freshness is the state of a cache with a courier.
type Freshness struct {
	// Lease reports that cached answers are used: every change that was acknowledged more than
	// bus.Bound ago has arrived. False means that each lookup queries the store. A health check can
	// use it to report a slower service.
	Lease bool
	// Lost is how often the lease was lost since the Store was created.
	Lost uint64
	// Lookups is the number of lookups in the store that were made because there was no lease.
	// Refused is the number of lookups that returned ErrBlind.
	Lookups, Refused uint64
	// Stale is the number of uses of cached entries without a lease (Options.ServeStale).
	Stale uint64
}

// Freshness returns the state of the cache. Without a courier Lease is true and the rest is 0.
func (s *Store) Freshness() Freshness {
	f := s.follow
	if f == nil {
		return Freshness{Lease: true}
	}
	return Freshness{
		Lease: f.lease.Holds(elapsed.Read()), Lost: f.lost.Load(),
		Lookups: f.lookups.Load(), Refused: f.refused.Load(), Stale: f.served.Load(),
	}
}
