// Package recall keeps what a scheme made of the credentials that it saw last: whose they
// are, ready to be given to the next request. It is for answers of a store that come with a
// storage.Lease, and holds no longer than that.
package recall

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// size is how many credentials a Table keeps. Each has one place, by its digest, where the
// last one stays.
const size = 4096

// Table keeps values by the digest of a credential. The zero Table is ready, and takes no
// room before the first Put. It is safe for concurrent use.
type Table[T any] struct {
	places atomic.Pointer[[size]atomic.Pointer[place[T]]]
}

type place[T any] struct {
	digest storage.Digest
	lease  storage.Lease
	value  *T
}

// Get returns the value of a digest while its lease holds, or nil. now is the time at which
// it was found to hold: the clock is read once, and only where there is something to judge.
func (t *Table[T]) Get(ctx context.Context, d *storage.Digest, clock func() time.Time) (value *T, now time.Time) {
	places := t.places.Load()
	if places == nil {
		return nil, now
	}
	p := places[index(d)].Load()
	if p == nil || p.digest != *d {
		return nil, now
	}
	if now = clock(); !p.lease.Holds(ctx, now) {
		return nil, now
	}
	return p.value, now
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
	places[index(d)].Store(&place[T]{*d, lease, value})
}

func index(d *storage.Digest) int { return (int(d[2])<<8 | int(d[3])) % size }
