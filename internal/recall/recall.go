// Package recall keeps what a scheme made of the credentials that it saw last: whose they
// are, ready to be given to the next request. It is for answers of a store that come with a
// storage.Lease, and holds no longer than that.
package recall

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/storage"
)

// size is how many credentials a Table keeps. Each has one place, by its digest, where the
// last one stays.
const size = 4096

// Table keeps values by the digest of a credential. The zero Table is ready, and takes no
// room before the first Put. It is safe for concurrent use.
type Table[T any] struct {
	places atomic.Pointer[[size]atomic.Pointer[place[T]]]
	swept  atomic.Uint32 // the next place to sweep
}

type place[T any] struct {
	digest storage.Digest
	lease  storage.Lease
	value  *T
	at     at // lease, or nil
}

// at is a lease that can share a reading of the clock. Only a lease that measures the time by
// package elapsed can have the method.
type at interface {
	HoldsAt(ctx context.Context, now elapsed.Instant) bool
}

// Get returns the value of a digest while its lease holds, or nil. What no longer holds is
// removed.
func (t *Table[T]) Get(ctx context.Context, d *storage.Digest) *T {
	at, p := t.find(d)
	if p == nil {
		return nil
	}
	if !p.lease.Holds(ctx) {
		at.CompareAndSwap(p, nil)
		return nil
	}
	return p.value
}

// GetNow is Get for values that have an expiry of their own. It returns the time to compare the
// expiry with: that of clock or, if clock is nil, of the system. The latter comes from the same
// reading by which the lease holds. The lease never depends on the wall clock.
func (t *Table[T]) GetNow(ctx context.Context, d *storage.Digest, clock func() time.Time) (*T, time.Time) {
	at, p := t.find(d)
	if p == nil {
		return nil, time.Time{}
	}
	var now time.Time
	var holds bool
	if clock == nil && p.at != nil {
		var instant elapsed.Instant
		instant, now = elapsed.ReadWall()
		holds = p.at.HoldsAt(ctx, instant)
	} else if holds = p.lease.Holds(ctx); clock == nil {
		now = time.Now()
	} else {
		now = clock()
	}
	if !holds {
		at.CompareAndSwap(p, nil)
		return nil, time.Time{}
	}
	return p.value, now
}

// find returns the place of a digest and what is there, or nil.
func (t *Table[T]) find(d *storage.Digest) (*atomic.Pointer[place[T]], *place[T]) {
	places := t.places.Load()
	if places == nil {
		return nil, nil
	}
	at := &places[index(d)]
	p := at.Load()
	if p == nil || p.digest != *d {
		return nil, nil
	}
	return at, p
}

// Put keeps a value, which is read-only from now on. Without a lease it keeps nothing.
func (t *Table[T]) Put(d *storage.Digest, lease storage.Lease, value *T) {
	if lease == nil {
		return
	}
	places := t.places.Load()
	if places == nil {
		t.places.CompareAndSwap(nil, new([size]atomic.Pointer[place[T]]))
		places = t.places.Load()
	}
	p := &place[T]{digest: *d, lease: lease, value: value}
	p.at, _ = lease.(at)
	places[index(d)].Store(p)
	t.sweep(places)
}

// Drop removes the value of a digest: its credential was revoked.
func (t *Table[T]) Drop(d *storage.Digest) {
	places := t.places.Load()
	if places == nil {
		return
	}
	at := &places[index(d)]
	if p := at.Load(); p != nil && p.digest == *d {
		at.CompareAndSwap(p, nil)
	}
}

// sweep looks at a few places in turn and clears those whose lease has ended, so that what
// was revoked does not stay in memory until its place is needed.
func (t *Table[T]) sweep(places *[size]atomic.Pointer[place[T]]) {
	const look = 4
	from := t.swept.Add(look) - look
	for i := range uint32(look) {
		at := &places[(from+i)%size]
		if p := at.Load(); p != nil && !p.lease.Holds(context.Background()) {
			at.CompareAndSwap(p, nil)
		}
	}
}

func index(d *storage.Digest) int { return (int(d[2])<<8 | int(d[3])) % size }
