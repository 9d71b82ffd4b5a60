package jwt

import (
	"sync"

	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/storage"
)

// cache keeps verified tokens by the digest of their text, bounded in number and bytes, in
// shards with a lock each. A token is kept only after its signature was verified, so strangers
// cannot fill it.
type cache struct{ shards [16]shard }

type shard struct {
	mu     sync.Mutex
	tokens *bounded.Map[storage.Digest, entry]
}

type entry struct {
	access     *Access
	generation uint64 // of the keys, when it was verified
}

func newCache(entries, bytes int) *cache {
	if entries == 0 {
		entries = 8192
	}
	if bytes == 0 {
		bytes = 16 << 20
	}
	c := &cache{}
	for i := range c.shards {
		c.shards[i].tokens = bounded.New[storage.Digest, entry](entries/len(c.shards), bytes/len(c.shards))
	}
	return c
}

// get returns a token and the generation of the keys when it was verified: if they have another
// one now, it must be verified again. The token is nil if it is not there.
func (c *cache) get(d storage.Digest) entry {
	s := &c.shards[d[0]%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := s.tokens.Get(d)
	return e
}

func (c *cache) put(d storage.Digest, generation uint64, a *Access) {
	s := &c.shards[d[0]%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	// What a token costs: its claims, the values taken from them, the maps.
	s.tokens.Put(d, entry{a, generation}, 2*a.Claims.Size()+512)
}
