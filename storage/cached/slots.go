package cached

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// slots bounds the lookups that are made without a lease, and shares them out. Otherwise a client
// with many made-up credentials would take them all while the database is slow:
//
//   - one key has at most an eighth of the slots;
//   - strangers, whose key the cache does not know, have at most three quarters together, and one
//     network of strangers has at most an eighth;
//   - one network of known keys has at most half;
//   - known keys go first;
//   - strangers of many networks wait in a line of limited length.
//
// A network is that of flood.NetOf. An address that says nothing about the client has no share of
// its own.
type slots struct {
	size int

	mu        sync.Mutex
	taken     int
	strangers int // of the taken ones
	keys      map[Key]int
	nets      map[owner]int
	queues    [2][]*waiter // those of known keys, and of strangers
	waiting   map[owner]int
}

// owner is a network with those of its lookups that a share is for.
type owner struct {
	net      netip.Prefix
	stranger bool
}

// claim is a lookup that needs a slot.
type claim struct {
	owner
	key Key
}

type waiter struct {
	claim
	granted chan struct{}
}

func newSlots(size int) *slots {
	return &slots{size: size, keys: map[Key]int{}, nets: map[owner]int{}, waiting: map[owner]int{}}
}

// share returns a part of the slots, at least one.
func (s *slots) share(part int) int { return max(1, s.size/part) }

// most returns how many slots an owner may have.
func (s *slots) most(o owner) int {
	switch {
	case !o.net.IsValid():
		return s.size
	case o.stranger:
		return s.share(8)
	}
	return s.share(2)
}

// take waits for a slot, and returns false if there is none for too long.
func (s *slots) take(c claim, wait time.Duration) (release func(), ok bool) {
	s.mu.Lock()
	if s.fits(&c) {
		s.grant(&c)
		s.mu.Unlock()
		return func() { s.release(c) }, true
	}
	if s.waiting[c.owner] >= 4*s.most(c.owner) || c.stranger && len(s.queues[1]) >= 16*s.size {
		s.mu.Unlock()
		return nil, false
	}
	w := &waiter{claim: c, granted: make(chan struct{})}
	s.queue(w)
	s.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.granted:
		return func() { s.release(c) }, true
	case <-timer.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leave(w) { // it was granted in the meantime
		return func() { s.release(c) }, true
	}
	return nil, false
}

// fits reports whether there is a slot for a lookup.
func (s *slots) fits(c *claim) bool {
	return s.taken < s.size &&
		s.keys[c.key] < s.share(8) &&
		s.nets[c.owner] < s.most(c.owner) &&
		(!c.stranger || s.strangers < s.size-s.size/4)
}

func (s *slots) grant(c *claim) {
	s.taken++
	s.keys[c.key]++
	s.nets[c.owner]++
	if c.stranger {
		s.strangers++
	}
}

// release gives a slot back, and passes it on.
func (s *slots) release(c claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	less(s.keys, c.key)
	less(s.nets, c.owner)
	if c.stranger {
		s.strangers--
	}
	for _, queue := range s.queues {
		for _, w := range queue {
			if s.fits(&w.claim) {
				s.leave(w)
				s.grant(&w.claim)
				close(w.granted)
				return // one slot came free, and the shares of its owner
			}
		}
	}
}

func (s *slots) queue(w *waiter) {
	q := s.queueOf(w)
	*q = append(*q, w)
	s.waiting[w.owner]++
}

// leave removes a waiter, and returns false if it does not wait any more.
func (s *slots) leave(w *waiter) bool {
	q := s.queueOf(w)
	i := slices.Index(*q, w)
	if i < 0 {
		return false
	}
	*q = slices.Delete(*q, i, i+1)
	less(s.waiting, w.owner)
	return true
}

func (s *slots) queueOf(w *waiter) *[]*waiter {
	if w.stranger {
		return &s.queues[1]
	}
	return &s.queues[0]
}

// less counts down, and forgets what reaches zero.
func less[K comparable](counts map[K]int, k K) {
	if counts[k]--; counts[k] <= 0 {
		delete(counts, k)
	}
}
