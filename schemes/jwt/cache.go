package jwt

import (
	"sync"

	"github.com/vestibule-auth/vestibule/storage"
)

// cache keeps verified tokens by the digest of their text, bounded in number and
// bytes. Each shard has two maps: when the young one is half of the bound it becomes
// the old one, and the old one is dropped; what is used moves to the young one. A
// token is kept only after its signature was verified, so strangers can not fill it.
type cache struct {
	entries, bytes int // bounds of half a shard
	shards         [16]shard
}

type shard struct {
	mu         sync.Mutex
	young, old map[storage.Digest]entry
	bytes      int // of young
}

type entry struct {
	access     *Access
	generation uint64
	size       int
}

func newCache(entries, bytes int) *cache {
	if entries == 0 {
		entries = 8192
	}
	if bytes == 0 {
		bytes = 16 << 20
	}
	c := &cache{}
	c.entries = max(entries/len(c.shards)/2, 1)
	c.bytes = max(bytes/len(c.shards)/2, 1)
	return c
}

func (c *cache) get(d storage.Digest, generation uint64) *Access {
	s := &c.shards[d[0]%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.young[d]; ok {
		return e.of(generation)
	}
	e, ok := s.old[d]
	if !ok {
		return nil
	}
	delete(s.old, d)
	c.add(s, d, e)
	return e.of(generation)
}

// of is the token, unless the keys changed since it was verified.
func (e entry) of(generation uint64) *Access {
	if e.generation != generation {
		return nil
	}
	return e.access
}

func (c *cache) put(d storage.Digest, generation uint64, a *Access) {
	// What a token costs: its claims, the values taken from them, the maps.
	size := 2*a.Claims.Size() + 512
	if size > c.bytes {
		return
	}
	s := &c.shards[d[0]%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.old, d)
	c.add(s, d, entry{a, generation, size})
}

// add puts an entry into the young map, making room. The caller holds the lock.
func (c *cache) add(s *shard, d storage.Digest, e entry) {
	if had, ok := s.young[d]; ok {
		s.bytes -= had.size
	} else if len(s.young) >= c.entries || s.bytes+e.size > c.bytes {
		s.old, s.young, s.bytes = s.young, nil, 0
	}
	if s.young == nil {
		s.young = make(map[storage.Digest]entry)
	}
	s.young[d] = e
	s.bytes += e.size
}

// maxShared is the most claims of a token whose identity is kept: the places for them count
// in no bound of the cache.
const maxShared = 2 << 10
