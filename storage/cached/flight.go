package cached

import (
	"context"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/flight"
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
)

// call is a running lookup whose result several callers can wait for.
type call = flight.Call[answer]

// answer is the result of a call.
type answer struct {
	asof   uint64 // the value of seq before the store was queried
	sent   bool   // the store is being queried, or was
	shared bool   // all waiting callers can use the result
	item   item   // the cached form of the result, or
	value  any    // the result, if it is not cached
	err    error
}

// kept determines how a result is cached.
type kept struct {
	item    item      // nil if the result is not cached
	size    int       // estimated memory of the item, in bytes
	expires time.Time // the credential's expiry; zero if it does not expire
	deps    names     // the names whose invalidation removes the item
}

// lookup defines a kind of lookup.
type lookup[V any] struct {
	read func(ctx context.Context) (V, error)
	keep func(v *V) kept
	open func(it item) V // the reverse of keep; copies the slices
	own  func(v V) V     // copies v and its slices; nil if v has no slices
	// unknown reports that storage.ErrNotFound means an unknown digest.
	unknown bool
}

// load queries the store, once for all callers that request the key at the same time. A result is
// shared and cached only if none of its dependencies was invalidated since the query began.
// Otherwise only the caller that queried the store gets it, and the waiting callers start again.
//
// Without a lease (see following) a caller joins only a call whose query has not been sent yet,
// because a change that was acknowledged since may not be known here.
func load[V any](ctx context.Context, s *Store, k Key, l lookup[V]) (v V, err error) {
	sh := s.shard(&k)
	for {
		if err := ctx.Err(); err != nil {
			return v, err
		}
		sh.mu.Lock()
		read := elapsed.Read()
		joined, fresh := s.elapsed.At(read), s.fresh(read)
		if fresh {
			if it, unknown := s.look(sh, &k, joined); it != nil || unknown { // cached by a call that has just ended
				sh.mu.Unlock()
				s.found(ctx, k.Kind, unknown)
				if unknown {
					return v, storage.ErrNotFound
				}
				return l.open(it), nil
			}
		}
		f := sh.calls.Get(k)
		if f == nil || f.Result.sent && (!fresh || joined-f.Began >= s.ttlOf(k.Kind)) { // the result would be too old
			if l.unknown && s.flood.Full(ctx, joined) {
				sh.mu.Unlock()
				s.looked(ctx, k.Kind, observe.Flood)
				return v, ErrTooManyUnknown
			}
			f = sh.calls.Begin(k, joined)
			if fresh {
				f.Result.asof, f.Result.sent = s.seq.Load(), true
			}
			sh.mu.Unlock()
			if fresh {
				s.looked(ctx, k.Kind, observe.Miss)
			} else {
				s.looked(ctx, k.Kind, observe.Bypass)
			}
			return lead(ctx, s, k, f, l)
		}
		sh.mu.Unlock()
		if err := f.Wait(ctx); err != nil {
			return v, err
		}
		switch a := &f.Result; {
		case !a.shared:
		case a.err != nil:
			if !errors.Is(a.err, storage.ErrNotFound) || joined-f.Began < s.unknownTTL {
				s.looked(ctx, k.Kind, observe.Shared)
				return v, a.err
			}
		case a.item != nil:
			s.looked(ctx, k.Kind, observe.Shared)
			return l.open(a.item), nil
		default:
			s.looked(ctx, k.Kind, observe.Shared)
			v = a.value.(V)
			if l.own != nil {
				v = l.own(v)
			}
			return v, nil
		}
	}
}

// lead performs the call. It does not end with ctx, because other callers may wait for the result.
func lead[V any](ctx context.Context, s *Store, k Key, f *call, l lookup[V]) (v V, err error) {
	var result kept
	finished, refused := false, false // finished stays false if the store panics
	defer func() {
		sh, a := s.shard(&k), &f.Result
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if finished {
			own := names{s.stripeOfKey(&k)}
			a.item, a.value, a.err = result.item, v, err
			if l.own != nil && a.item == nil && err == nil { // the caller owns the slices of v
				a.value = l.own(v)
			}
			a.shared = refused || s.unchanged(a.asof, &own) && s.unchanged(a.asof, &result.deps)
		}
		if a.shared && !s.bypass.Load() {
			s.store(sh, &k, f, &result, l.unknown)
		}
		sh.calls.End(k, f)
	}()
	if !f.Result.sent { // only this goroutine sets it
		sh := s.shard(&k)
		sh.mu.Lock()
		known := sh.yes[k.Kind][k.Digest] != nil
		sh.mu.Unlock()
		done, ok := s.blind(ctx, k, l.unknown && !known)
		if !ok {
			finished, refused = true, true
			return v, ErrBlind
		}
		defer done()
		sh.mu.Lock()
		f.Began, f.Result.asof, f.Result.sent = s.now(), s.seq.Load(), true
		sh.mu.Unlock()
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	v, err = l.read(ctx)
	finished = true
	switch {
	case err == nil:
		if result = l.keep(&v); l.unknown {
			s.flood.Known(caller)
		}
	case l.unknown && errors.Is(err, storage.ErrNotFound):
		s.flood.Unknown(caller, s.now())
	}
	return v, err
}

// store caches the result of a call. The caller holds the lock.
func (s *Store) store(sh *shard, k *Key, f *call, result *kept, unknown bool) {
	a := &f.Result
	switch {
	case a.err == nil && result.item != nil:
		h := result.item.header()
		h.asof, h.ends, h.deps = a.asof, f.Began+s.ttlOf(k.Kind), result.deps
		h.kind.Store(uint32(k.Kind))
		h.size = int32(min(result.size, 1<<30))
		now := s.now()
		if !result.expires.IsZero() {
			h.ends = min(h.ends, now+result.expires.Sub(s.clock()))
		}
		if now < h.ends {
			s.put(sh, k, result.item, now)
		}
	case unknown && errors.Is(a.err, storage.ErrNotFound):
		s.putUnknown(sh, k, absent{asof: a.asof, ends: f.Began + s.unknownTTL})
	}
}
