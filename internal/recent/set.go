// Package recent remembers names that came up recently, in little memory: about 40 bytes a name. It
// keeps hashes, so a name that is not in a set can be reported as if it were, very rarely; a name
// that is in a set is always found.
package recent

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Set is a set of names, each with the second in which it came. It is safe for concurrent use. Has
// allocates nothing, and for most names that are not in the set it takes no lock.
type Set struct {
	max     int64
	size    atomic.Int64
	changes atomic.Uint64
	shards  [shards]shard
}

const shards = 64

type shard struct {
	mu     sync.RWMutex
	seen   map[uint64]uint32
	filter atomic.Pointer[filter] // nil while seen is empty
	_      [64]byte               // keeps the locks of two shards on different cache lines
}

// New returns an empty set for up to max names.
func New(max int) *Set { return &Set{max: int64(max)} }

// Key is the hash of a name.
type Key uint64

// KeyOf returns the key of a text. The seed is secret, so nobody can choose a text with the key of
// another one.
func KeyOf(seed maphash.Seed, text string) Key { return Key(maphash.String(seed, text)) }

// KeyOfDigest returns the key of a digest.
func KeyOfDigest(seed maphash.Seed, digest *[32]byte) Key {
	return Key(maphash.Bytes(seed, digest[:]))
}

func (s *Set) shard(k Key) *shard { return &s.shards[k%shards] }

// Add adds a name that came in a second, or moves it to that second if it came in an earlier one. It
// returns false, and adds nothing, if the set is full.
func (s *Set) Add(k Key, second uint32) bool {
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	had, ok := sh.seen[uint64(k)]
	switch {
	case ok && had >= second:
		return true
	case !ok && s.size.Add(1) > s.max:
		s.size.Add(-1)
		return false
	}
	f := sh.filter.Load()
	switch {
	case sh.seen == nil:
		sh.seen = make(map[uint64]uint32)
		f = newFilter(leastNames)
		sh.filter.Store(f)
	case len(sh.seen) >= f.names:
		f = sh.filtered(2 * f.names)
	}
	f.add(k)
	sh.seen[uint64(k)] = second
	s.changes.Add(1) // after the name: a caller that reads the new number finds the name
	return true
}

// Has reports whether a name is in the set.
func (s *Set) Has(k Key) bool {
	sh := s.shard(k)
	if f := sh.filter.Load(); f == nil || !f.has(k) {
		return false
	}
	sh.mu.RLock()
	_, ok := sh.seen[uint64(k)]
	sh.mu.RUnlock()
	return ok
}

// Changes returns a number that Add raises whenever it has added a name. While it is the same, a
// name that was not in the set still is not.
func (s *Set) Changes() uint64 { return s.changes.Load() }

// Len returns the number of names.
func (s *Set) Len() int { return int(s.size.Load()) }

// Prune removes the names that came before a second.
func (s *Set) Prune(before uint32) {
	for i := range s.shards {
		s.shards[i].prune(s, before)
	}
}

// shrink is the number of names that a map can have held per name in it, before it is copied: a map
// does not return the memory of names that were deleted.
const shrink = 4

func (sh *shard) prune(s *Set, before uint32) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	had := len(sh.seen)
	for k, second := range sh.seen {
		if second < before {
			delete(sh.seen, k)
		}
	}
	switch s.size.Add(int64(len(sh.seen) - had)); {
	case len(sh.seen) == 0:
		sh.seen = nil
		sh.filter.Store(nil)
	case len(sh.seen)*shrink < had:
		left := make(map[uint64]uint32, len(sh.seen))
		for k, second := range sh.seen {
			left[k] = second
		}
		sh.seen = left
		fallthrough
	case len(sh.seen) < had:
		sh.filtered(max(2*len(sh.seen), leastNames))
	}
}

// filtered replaces the filter by one of all names, with space for a number of names.
func (sh *shard) filtered(names int) *filter {
	f := newFilter(names)
	for k := range sh.seen {
		f.add(Key(k))
	}
	sh.filter.Store(f)
	return f
}

// Clear removes all names.
func (s *Set) Clear() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		s.size.Add(-int64(len(sh.seen)))
		sh.seen = nil
		sh.filter.Store(nil)
		sh.mu.Unlock()
	}
}

// filter is a Bloom filter in which a name has all its bits in one word, so that a look at it costs
// one access to memory that is not in the processor's cache. With nameBits it answers "maybe" for
// about one percent of the names that were not added.
type filter struct {
	words []atomic.Uint64
	names int // for which it has space
}

const (
	leastNames = 16
	nameBits   = 16
)

func newFilter(names int) *filter {
	return &filter{make([]atomic.Uint64, names*nameBits/64), names}
}

// place returns the word of a key and its bits. The lowest bits of the key have selected the shard.
func (f *filter) place(k Key) (word *atomic.Uint64, bits uint64) {
	bits = 1<<(k>>6&63) | 1<<(k>>12&63) | 1<<(k>>18&63) | 1<<(k>>24&63)
	return &f.words[uint64(k)>>32*uint64(len(f.words))>>32], bits
}

func (f *filter) add(k Key) {
	word, bits := f.place(k)
	word.Or(bits)
}

func (f *filter) has(k Key) bool {
	word, bits := f.place(k)
	return word.Load()&bits == bits
}
