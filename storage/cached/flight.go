package cached

import (
	"context"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// flight is one lookup that several callers wait for.
type flight struct {
	asof   uint64        // what seq was before the store was asked
	began  time.Duration // when the store was asked
	done   chan struct{} // closed when the rest is set
	shared bool          // the result is for everybody who waits
	item   item          // what is kept of it, or
	value  any           // what is not kept
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
		f, running := sh.flights[k]
		if !running || joined-f.began >= s.ttl { // its answer would be too old
			if l.unknown && s.flood.full(ctx, joined) {
				sh.mu.Unlock()
				return v, ErrFlood
			}
			f = &flight{done: make(chan struct{}), asof: s.seq.Load(), began: joined}
			sh.flights[k] = f
			sh.mu.Unlock()
			return lead(ctx, s, k, f, l)
		}
		sh.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return v, ctx.Err()
		}
		switch {
		case !f.shared:
		case f.err != nil:
			if !errors.Is(f.err, storage.ErrNotFound) || joined-f.began < s.unknownTTL {
				return v, f.err
			}
		case f.item != nil:
			return l.open(f.item), nil
		default:
			v = f.value.(V)
			if l.own != nil {
				v = l.own(v)
			}
			return v, nil
		}
	}
}

// lead makes the flight. It does not end with ctx, for the others' sake.
func lead[V any](ctx context.Context, s *Store, k Key, f *flight, l lookup[V]) (v V, err error) {
	var result kept
	finished := false // stays false where the store panics
	defer func() {
		sh := s.shard(&k)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if finished {
			own := names{s.stripeOfKey(&k)}
			f.item, f.value, f.err = result.item, v, err
			if l.own != nil && f.item == nil && err == nil { // v's lists are the caller's own
				f.value = l.own(v)
			}
			f.shared = s.unchanged(f.asof, &own) && s.unchanged(f.asof, &result.deps)
		}
		if f.shared && !s.bypass.Load() {
			s.store(sh, &k, f, &result, l.unknown)
		}
		if sh.flights[k] == f {
			delete(sh.flights, k)
		}
		close(f.done)
	}()
	asker := ctx
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	v, err = l.read(ctx)
	finished = true
	switch {
	case err == nil:
		if result = l.keep(&v); l.unknown {
			s.flood.known(asker)
		}
	case l.unknown && errors.Is(err, storage.ErrNotFound):
		s.flood.unknown(asker, s.now())
	}
	return v, err
}

// store keeps the result of a flight. The caller holds the lock.
func (s *Store) store(sh *shard, k *Key, f *flight, result *kept, unknown bool) {
	switch {
	case f.err == nil && result.item != nil:
		h := result.item.header()
		h.asof, h.ends, h.deps = f.asof, f.began+s.ttl, result.deps
		h.kind.Store(uint32(k.Kind))
		h.size = int32(min(result.size, 1<<30))
		now := s.now()
		if !result.expires.IsZero() {
			h.ends = min(h.ends, now+result.expires.Sub(s.clock()))
		}
		if now < h.ends {
			s.put(sh, k, result.item, now)
		}
	case unknown && errors.Is(f.err, storage.ErrNotFound):
		s.putUnknown(sh, k, absent{asof: f.asof, ends: f.began + s.unknownTTL})
	}
}
