package cached

import (
	"context"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/internal/flight"
	"github.com/vestibule-auth/vestibule/storage"
)

// call is one lookup that several callers wait for.
type call = flight.Call[answer]

// answer is the result of a call, and when it was asked for.
type answer struct {
	asof   uint64 // what seq was before the store was asked
	shared bool   // the result is for everybody who waits
	item   item   // what is kept of it, or
	value  any    // what is not kept
	err    error
}

// kept is what becomes of a result.
type kept struct {
	item    item      // nil: it is not kept
	size    int       // estimate of what the item takes
	expires time.Time // the credential's own end; zero for none
	deps    names     // what the result hangs on
}

// lookup is one kind of lookup.
type lookup[V any] struct {
	read func(ctx context.Context) (V, error)
	keep func(v *V) kept
	open func(it item) V // the reverse of keep, with lists of its own each time
	own  func(v V) V     // a copy of v with lists of its own; nil: it has none
	// unknown: storage.ErrNotFound says that the digest is unknown.
	unknown bool
}

// load asks the store, once for all who ask for the key at the same time. A result is
// shared and kept only where nothing that it hangs on was invalidated since the store was
// asked; otherwise it is good for the caller alone that asked the store, and those who
// waited begin anew.
func load[V any](ctx context.Context, s *Store, k Key, l lookup[V]) (v V, err error) {
	sh := s.shard(&k)
	for {
		if err := ctx.Err(); err != nil {
			return v, err
		}
		sh.mu.Lock()
		joined := s.now()
		if it, unknown := s.look(sh, &k, joined); it != nil || unknown { // by a flight that just ended
			sh.mu.Unlock()
			if unknown {
				return v, storage.ErrNotFound
			}
			return l.open(it), nil
		}
		f := sh.calls.Get(k)
		if f == nil || joined-f.Began >= s.ttl { // its answer would be too old
			if l.unknown && s.flood.Full(ctx, joined) {
				sh.mu.Unlock()
				return v, ErrTooManyUnknown
			}
			f = sh.calls.Begin(k, joined)
			f.Result.asof = s.seq.Load()
			sh.mu.Unlock()
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
				return v, a.err
			}
		case a.item != nil:
			return l.open(a.item), nil
		default:
			v = a.value.(V)
			if l.own != nil {
				v = l.own(v)
			}
			return v, nil
		}
	}
}

// lead makes the call. It does not end with ctx, for the others' sake.
func lead[V any](ctx context.Context, s *Store, k Key, f *call, l lookup[V]) (v V, err error) {
	var result kept
	finished := false // stays false where the store panics
	defer func() {
		sh, a := s.shard(&k), &f.Result
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if finished {
			own := names{s.stripeOfKey(&k)}
			a.item, a.value, a.err = result.item, v, err
			if l.own != nil && a.item == nil && err == nil { // v's lists are the caller's own
				a.value = l.own(v)
			}
			a.shared = s.unchanged(a.asof, &own) && s.unchanged(a.asof, &result.deps)
		}
		if a.shared && !s.bypass.Load() {
			s.store(sh, &k, f, &result, l.unknown)
		}
		sh.calls.End(k, f)
	}()
	asker := ctx
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	v, err = l.read(ctx)
	finished = true
	switch {
	case err == nil:
		if result = l.keep(&v); l.unknown {
			s.flood.Known(asker)
		}
	case l.unknown && errors.Is(err, storage.ErrNotFound):
		s.flood.Unknown(asker, s.now())
	}
	return v, err
}

// store keeps the result of a call. The caller holds the lock.
func (s *Store) store(sh *shard, k *Key, f *call, result *kept, unknown bool) {
	a := &f.Result
	switch {
	case a.err == nil && result.item != nil:
		h := result.item.header()
		h.asof, h.ends, h.deps = a.asof, f.Began+s.ttl, result.deps
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
