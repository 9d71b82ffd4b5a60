package jwt

import (
	"sync"

	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/storage"
)

// cache holds verified tokens by the digest of their text. It is limited in number and bytes, and
// divided into shards with a lock each. Tokens are added only after their signature was verified,
// so an attacker cannot fill it.
type cache struct{ shards [16]shard }

type shard struct {
	mu     sync.Mutex
	tokens *bounded.Map[storage.Digest, entry]
}

type entry struct {
	access     *Access
	generation uint64 // generation of the keys at the verification
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

// get returns a token and the generation of the keys at its verification. If the keys have another
// generation now, the token must be verified again. The token is nil if it is not in the cache.
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
	// The approximate memory of a token: its claims, the values parsed from them, and the maps.
	s.tokens.Put(d, entry{a, generation}, 2*a.Claims.Size()+512)
}
