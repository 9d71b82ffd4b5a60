package cached

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
)

// The types of changes, from package bus.
type (
	Kind        = bus.Kind
	Key         = bus.Key
	Change      = bus.Change
	Invalidator = bus.Invalidator
)

// The kinds of records; see [bus.Kind].
const (
	StaticTokens  = bus.StaticTokens
	Credentials   = bus.Credentials
	Sessions      = bus.Sessions
	AccessTokens  = bus.AccessTokens
	Standings     = bus.Standings
	UserStandings = bus.UserStandings
	Blocks        = bus.Blocks
	LiveUsers     = bus.LiveUsers
	Permissions   = bus.Permissions
	Clients       = bus.Clients
	Links         = bus.Links

	kinds = bus.Kinds
)

var _ Invalidator = (*Store)(nil)

// stripes is the number of counters that all names share. Names with the same counter are
// invalidated together, which only causes extra lookups. Counter 0 belongs to no name and is never
// raised.
const stripes = 1 << 15

func (s *Store) stripeOfKey(k *Key) uint16 {
	return stripe(binary.LittleEndian.Uint32(k.Digest[4:]) + uint32(k.Kind)*0x9e3779b1)
}

func (s *Store) stripeOfBlock(k storage.BlockKey) uint16 {
	if k.IsZero() {
		return 0
	}
	return s.stripeOfKey(&Key{Kind: Blocks, Digest: storage.Digest(k)})
}

// stripeOfSubject uses a seed, so that nobody can choose an ID that shares a counter with another
// one.
func (s *Store) stripeOfSubject(subject string) uint16 {
	if subject == "" {
		return 0
	}
	return stripe(uint32(maphash.String(s.seed, subject)))
}

func stripe(hash uint32) uint16 { return uint16(max(hash%stripes, 1)) }

// raise records an invalidation. Data that was read before it has a smaller number.
func (s *Store) raise(i uint16) {
	for n := s.seq.Add(1); ; {
		old := s.stripes[i].Load()
		if old >= n || s.stripes[i].CompareAndSwap(old, n) {
			return
		}
	}
}

// InvalidateKey implements [Invalidator]. If the kind is unknown, it removes everything.
func (s *Store) InvalidateKey(k Key) {
	if k.Kind >= kinds {
		s.FlushAll()
		return
	}
	s.raise(s.stripeOfKey(&k))
	if k.Kind == Blocks {
		s.denied.addBlock(k.Digest)
	}
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.drop(&k)
	sh.calls.Forget(k)
}

// InvalidateSubject implements [Invalidator]. It takes constant time, however many records the
// subject has.
func (s *Store) InvalidateSubject(subject string) {
	s.raise(s.stripeOfSubject(subject))
	s.denied.addSubject(subject)
}

// FlushAll implements [Invalidator].
func (s *Store) FlushAll() {
	s.flush()
	s.denied.reload()
}

// flush removes all records, but the deny set stays in use.
func (s *Store) flush() {
	for n := s.seq.Add(1); ; {
		old := s.flushed.Load()
		if old >= n || s.flushed.CompareAndSwap(old, n) {
			break
		}
	}
	for i := range s.shards {
		s.shards[i].clear()
	}
}

// Bypass implements [Invalidator].
func (s *Store) Bypass(on bool) {
	if on {
		s.bypass.Store(true)
	}
	s.FlushAll()
	if !on {
		s.bypass.Store(false)
	}
}

// pending collects the changes of a transaction.
type pending struct {
	mu    sync.Mutex
	list  []Change
	ended bool
}

type pendingKey struct{ *Store }

// open reports whether p still accepts changes.
func (p *pending) open() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.ended
}

// InTx implements [storage.Transactor]. When the transaction has been committed or rolled back,
// everything that fn changed is removed from the cache. Lookups in fn read the store.
func (s *Store) InTx(ctx context.Context, fn func(context.Context) error) error {
	if s.base.InTransaction(ctx) {
		if !s.pending(ctx).open() {
			return errUntracked
		}
		return s.base.InTx(ctx, fn)
	}
	ctx, done := s.Track(ctx)
	defer done()
	return s.base.InTx(ctx, fn)
}

// InRetriedTx implements [storage.Retrier]. If the base cannot run a transaction again, it is
// [Store.InTx].
func (s *Store) InRetriedTx(ctx context.Context, fn func(context.Context) error) error {
	again, ok := s.base.(storage.Retrier)
	if !ok || s.base.InTransaction(ctx) {
		return s.InTx(ctx, fn)
	}
	ctx, done := s.Track(ctx)
	defer done()
	return again.InRetriedTx(ctx, fn)
}

// Track prepares a transaction that the application began itself, such as one for gormstore's
// WithTx. It returns a context for the calls of the Store in the transaction, and the function
// done. Defer done, so that it runs after the transaction was committed or rolled back, even after
// a panic. Until then the cache does not reflect the changes, and accepts credentials that the
// transaction revoked. A call that changes something in a transaction that is not tracked returns
// an error. For other transactions use [Store.InTx].
func (s *Store) Track(ctx context.Context) (tracked context.Context, done func()) {
	p := &pending{}
	return context.WithValue(ctx, pendingKey{s}, p), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.list {
			c.Apply(s)
		}
		if s.hurry != nil {
			s.hurry.add(p.list)
		}
		p.list, p.ended = nil, true
	}
}

func (s *Store) pending(ctx context.Context) *pending {
	p, _ := ctx.Value(pendingKey{s}).(*pending)
	return p
}

var errUntracked = errors.New("cached: change in a transaction that is not tracked (use Store.InTx or Store.Track)")

// change runs f, which may invalidate what the changes name. They are applied when it returns or,
// in a transaction, when the transaction ends. They are applied even if f fails, because its effect
// is unknown then.
func (s *Store) change(ctx context.Context, f func(context.Context) error, changes ...Change) error {
	if err := s.later(ctx, changes); err != nil {
		return err
	}
	defer s.finish(ctx, changes)
	if !s.base.InTransaction(ctx) { // changes of the store's hooks take effect with this change
		tracked, done := s.Track(ctx)
		defer done()
		ctx = tracked
	}
	if s.tell == nil {
		return f(ctx)
	}
	runAndTell := func(ctx context.Context) error {
		if err := f(ctx); err != nil {
			return err
		}
		for _, c := range changes {
			if err := s.callTell(ctx, c); err != nil {
				return fmt.Errorf("cached: Options.Tell: %w", err)
			}
		}
		return nil
	}
	if s.base.InTransaction(ctx) {
		return runAndTell(ctx)
	}
	return s.base.InTx(ctx, runAndTell)
}

// renew is change for changes that revoke nothing in other processes: new records and recorded
// uses.
func (s *Store) renew(ctx context.Context, f func(context.Context) error, changes ...Change) error {
	if err := s.later(ctx, changes); err != nil {
		return err
	}
	defer s.apply(ctx, changes)
	return f(ctx)
}

// later collects changes until the end of ctx's transaction, if there is one.
func (s *Store) later(ctx context.Context, changes []Change) error {
	if !s.base.InTransaction(ctx) {
		return nil
	}
	p := s.pending(ctx)
	if p == nil {
		return errUntracked
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended { // ctx belongs to an earlier transaction
		return errUntracked
	}
	p.list = append(p.list, changes...)
	return nil
}

// pendingIn reports whether ctx's transaction applies changes at its end.
func (s *Store) pendingIn(ctx context.Context) bool {
	return s.base.InTransaction(ctx) && s.pending(ctx).open()
}

// apply applies changes, unless ctx's transaction does so at its end. If that transaction has
// already ended, apply applies them itself.
func (s *Store) apply(ctx context.Context, changes []Change) {
	if s.pendingIn(ctx) {
		return
	}
	for _, c := range changes {
		c.Apply(s)
	}
}
