package cached

import (
	"context"
	"errors"
	"sync"

	"github.com/vestibule-auth/vestibule/storage"
)

// flight is one lookup that several callers wait for.
type flight struct {
	asof   uint64        // what seq was before the store was asked
	done   chan struct{} // closed when the rest is set
	shared bool          // the result is for everybody who waits
	value  any
	err    error
}

// kept is what becomes of a result.
type kept struct {
	item    item  // nil: it is not kept
	size    int   // estimate of what the item takes
	expires int64 // the credential's own end, in microseconds; 0 for none
	deps    names // what the result hangs on
}

// lookup is one kind of lookup.
type lookup[V any] struct {
	read func(ctx context.Context) (V, error)
	keep func(v *V) kept
	open func(it item) V // the reverse of keep
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
		if it, unknown := s.look(sh, &k, s.now()); it != nil || unknown { // by a flight that just ended
			sh.mu.Unlock()
			if unknown {
				return v, storage.ErrNotFound
			}
			return l.open(it), nil
		}
		f, running := sh.flights[k]
		if !running {
			f = &flight{done: make(chan struct{}), asof: s.seq.Load()}
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
		if f.shared {
			return f.value.(V), f.err
		}
	}
}

// lead makes the flight. It does not end with ctx, for the others' sake.
func lead[V any](ctx context.Context, s *Store, k Key, f *flight, l lookup[V]) (v V, err error) {
	now, result := s.now(), kept{}
	finished := false // stays false where the store panics
	defer func() {
		sh := s.shard(&k)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if finished {
			own := names{s.stripeOfKey(&k)}
			f.value, f.err = v, err
			if result.item != nil { // v's lists are the caller's own
				f.value = l.open(result.item)
			}
			f.shared = s.unchanged(f.asof, &own) && s.unchanged(f.asof, &result.deps)
		}
		if f.shared && !s.bypass.Load() {
			s.store(sh, &k, f, &result, now, l.unknown)
		}
		if sh.flights[k] == f {
			delete(sh.flights, k)
		}
		close(f.done)
	}()
	if l.unknown && s.flood.full(now) {
		finished = true
		return v, ErrFlood
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	v, err = l.read(ctx)
	finished = true
	switch {
	case err == nil:
		result = l.keep(&v)
	case l.unknown && errors.Is(err, storage.ErrNotFound):
		s.flood.count(now)
	}
	return v, err
}

// store keeps the result of a flight. The caller holds the lock.
func (s *Store) store(sh *shard, k *Key, f *flight, result *kept, now int64, unknown bool) {
	switch {
	case f.err == nil && result.item != nil:
		h := result.item.header()
		h.asof, h.ends, h.deps = f.asof, now+s.ttl, result.deps
		h.kind.Store(uint32(k.Kind))
		h.size = int32(min(result.size, 1<<30))
		if result.expires != 0 {
			h.ends = min(h.ends, result.expires)
		}
		if now < h.ends {
			s.put(sh, k, result.item, now)
		}
	case unknown && errors.Is(f.err, storage.ErrNotFound):
		s.putUnknown(sh, k, absent{asof: f.asof, ends: now + s.unknownTTL})
	}
}

// flood counts the digests that turned out to be unknown in a second.
type flood struct {
	mu     sync.Mutex
	second int64
	n, max int
}

func (f *flood) full(now int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.second == now/1e6 && f.n >= f.max
}

func (f *flood) count(now int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if second := now / 1e6; f.second != second {
		f.second, f.n = second, 0
	}
	f.n++
}
