package cached

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/flight"
	"github.com/vestibule-auth/vestibule/storage"
)

// item is a cached record.
type item interface{ header() *head }

// head is the part that every item has. It is also the storage.Lease of the results from the item.
type head struct {
	home *Store        // nil if the item is in no table
	asof uint64        // the value of seq before the store was queried
	ends time.Duration // expiry, as the time since the Store was created
	deps names         // the names whose invalidation removes the item
	size int32         // estimated memory, in bytes
	kind atomic.Uint32 // the kind of its key, or gone
}

// gone is the kind of an item that was removed.
const gone = uint32(kinds)

func (h *head) header() *head { return h }

// Valid implements storage.Lease: it reports whether the item is in the table and a lookup would
// use it.
func (h *head) Valid(ctx context.Context) bool { return h.ValidAt(ctx, elapsed.Read()) }

// ValidAt is Valid for a caller that has already read the clock (package authn).
func (h *head) ValidAt(ctx context.Context, now elapsed.Instant) bool {
	s := h.home
	if s == nil || !s.fresh(now) { // before the counters: see fresh
		return false
	}
	kind := h.kind.Load()
	return kind != gone && s.live(h, s.elapsed.At(now)) && !s.direct(ctx, Kind(kind)) && s.used(now)
}

// IssuedBy implements storage.Lease.
func (h *head) IssuedBy(store any) bool { return h.home != nil && h.home.answers(store) }

// names are the counters of the names on which an item depends, besides its key; 0 means none.
type names [4]uint16

// absent records that a digest is unknown.
type absent struct {
	asof uint64
	ends time.Duration
}

// limits are the limits of one shard.
type limits struct{ entries, bytes, unknown int }

// shard is a part of the cache with its own lock. If it is full, it removes random entries, expired
// ones first.
type shard struct {
	mu      sync.RWMutex
	yes     [kinds]map[storage.Digest]item
	no      [kinds]map[storage.Digest]absent
	calls   flight.Group[Key, answer]
	entries int
	unknown int
	bytes   int
	byKind  [kinds]int // bytes of each kind
	_       [64]byte   // keeps the locks of two shards on different cache lines
}

// The maximum number of shards, and the minimum number of entries per shard. A small cache has few
// shards, because each shard has its own limits.
const (
	maxShards = 64
	minShard  = 64
)

func newShards(entries, bytes, unknown int) ([]shard, limits) {
	n := maxShards
	for n > 1 && (entries/n < minShard || unknown/n < minShard) {
		n /= 2
	}
	list := make([]shard, n)
	return list, limits{entries / n, bytes / n, unknown / n}
}

func (s *Store) shard(k *Key) *shard { return &s.shards[int(k.Digest[0])&(len(s.shards)-1)] }

// find returns the valid item of a key, or reports that the digest is known to be unknown.
func (s *Store) find(ctx context.Context, k *Key) (it item, unknown bool) {
	read := elapsed.Read()
	if !s.fresh(read) {
		return nil, false
	}
	sh, now := s.shard(k), s.elapsed.At(read)
	sh.mu.RLock()
	it, unknown = s.look(sh, k, now)
	sh.mu.RUnlock()
	if it != nil {
		s.used(read)
	}
	if s.sink != nil && (it != nil || unknown) {
		s.found(ctx, k.Kind, unknown)
	}
	return it, unknown
}

// look is find for a caller that holds the lock.
func (s *Store) look(sh *shard, k *Key, now time.Duration) (it item, unknown bool) {
	if it := sh.yes[k.Kind][k.Digest]; it != nil && s.live(it.header(), now) {
		return it, false
	}
	if sh.unknown == 0 {
		return nil, false
	}
	a, ok := sh.no[k.Kind][k.Digest]
	return nil, ok && now < a.ends && s.flushed.Load() <= a.asof && s.stripes[s.stripeOfKey(k)].Load() <= a.asof
}

// live reports whether an item is valid: it has not expired, and none of its dependencies was
// invalidated since it was read.
func (s *Store) live(h *head, now time.Duration) bool {
	return now < h.ends && s.unchanged(h.asof, &h.deps)
}

// unchanged reports whether none of the names was invalidated since asof.
func (s *Store) unchanged(asof uint64, deps *names) bool {
	for _, i := range deps {
		if s.stripes[i].Load() > asof {
			return false
		}
	}
	return s.flushed.Load() <= asof
}

// put stores an item and evicts others if necessary. The caller holds the lock.
func (s *Store) put(sh *shard, k *Key, it item, now time.Duration) {
	sh.drop(k)
	s.sweep(sh, k.Kind, now)
	size := int(it.header().size)
	if size > s.limits.bytes {
		return
	}
	for sh.entries > 0 && (sh.entries >= s.limits.entries || sh.bytes+size > s.limits.bytes) {
		s.evict(sh, now)
	}
	if sh.yes[k.Kind] == nil {
		sh.yes[k.Kind] = make(map[storage.Digest]item)
	}
	it.header().home = s
	sh.yes[k.Kind][k.Digest] = it
	sh.entries++
	sh.bytes += size
	sh.byKind[k.Kind] += size
}

// evict removes one entry, or several that have expired, of the kind with the most entries.
func (s *Store) evict(sh *shard, now time.Duration) {
	const look = 5
	var from Kind
	for k := range kinds {
		if len(sh.yes[k]) > len(sh.yes[from]) {
			from = k
		}
	}
	before, looked := sh.entries, 0
	k := Key{Kind: from}
	for d, it := range sh.yes[from] { // in random order
		if k.Digest = d; !s.live(it.header(), now) {
			sh.drop(&k)
		}
		if looked++; looked == look {
			break
		}
	}
	if sh.entries == before {
		sh.drop(&k)
	}
}

// sweep checks a few entries of a kind and removes expired ones, so that they do not stay in memory
// until their place is needed. The caller holds the lock.
func (s *Store) sweep(sh *shard, kind Kind, now time.Duration) {
	const look = 2
	looked := 0
	for d, it := range sh.yes[kind] { // in random order
		if !s.live(it.header(), now) {
			sh.drop(&Key{Kind: kind, Digest: d})
		}
		if looked++; looked == look {
			return
		}
	}
}

// putUnknown records that a digest is unknown. The caller holds the lock.
func (s *Store) putUnknown(sh *shard, k *Key, a absent) {
	sh.drop(k)
	if sh.unknown >= s.limits.unknown {
		full := Kind(0)
		for i := range kinds {
			if len(sh.no[i]) > len(sh.no[full]) {
				full = i
			}
		}
		for d := range sh.no[full] {
			sh.drop(&Key{Kind: full, Digest: d})
			break
		}
	}
	if sh.no[k.Kind] == nil {
		sh.no[k.Kind] = make(map[storage.Digest]absent)
	}
	sh.no[k.Kind][k.Digest] = a
	sh.unknown++
}

// drop removes a key. The caller holds the lock.
func (sh *shard) drop(k *Key) {
	if it, ok := sh.yes[k.Kind][k.Digest]; ok {
		it.header().kind.Store(gone)
		delete(sh.yes[k.Kind], k.Digest)
		sh.entries--
		sh.bytes -= int(it.header().size)
		sh.byKind[k.Kind] -= int(it.header().size)
	}
	if _, ok := sh.no[k.Kind][k.Digest]; ok {
		delete(sh.no[k.Kind], k.Digest)
		sh.unknown--
	}
}

func (sh *shard) clear() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, kind := range sh.yes {
		for _, it := range kind { // an item may be newer than the invalidation, so its lease must end here
			it.header().kind.Store(gone)
		}
	}
	sh.yes, sh.no = [kinds]map[storage.Digest]item{}, [kinds]map[storage.Digest]absent{}
	sh.calls.Clear()
	sh.entries, sh.unknown, sh.bytes, sh.byKind = 0, 0, 0, [kinds]int{}
}

// Usage is the size of a cache.
type Usage struct{ Entries, Bytes, Unknown int }

// UsageOf is [Store.Usage] for the entries of one kind. The kind must be one of package bus.
func (s *Store) UsageOf(kind Kind) (u Usage) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.RLock()
		u.Entries, u.Bytes, u.Unknown = u.Entries+len(sh.yes[kind]), u.Bytes+sh.byKind[kind], u.Unknown+len(sh.no[kind])
		sh.mu.RUnlock()
	}
	return u
}

// Usage returns the size of the cache, including expired entries that have not been removed yet.
// Bytes is an upper estimate.
func (s *Store) Usage() (u Usage) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.RLock()
		u.Entries, u.Bytes, u.Unknown = u.Entries+sh.entries, u.Bytes+sh.bytes, u.Unknown+sh.unknown
		sh.mu.RUnlock()
	}
	return u
}
