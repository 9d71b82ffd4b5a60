package authn

import (
	"context"
	"crypto/rand"
	"errors"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
)

// NoKeep, as a number of identities or bytes, means that no identities are kept.
const NoKeep = -1

const (
	defaultKeep      = 4096
	defaultKeepBytes = 8 << 20
)

// TableOptions configure a [Table]. nil means the defaults.
type TableOptions struct {
	// Entries is the largest number of identities. 0 means 4,096. It is rounded down to a power of
	// two.
	Entries int
	// Bytes is the approximate limit of their memory. 0 means 8 MiB.
	Bytes int
	// Clock is for tests. It measures MaxKeep. nil means the monotonic clock.
	Clock func() time.Time
}

// Table holds the identities that a middleware keeps. The key is the SHA-256 of the credentials and
// the [Authenticator] that accepted them. Each [Middleware] has its own table, unless Options.Table
// sets one for several. It is safe for concurrent use.
//
// Each identity has two possible places, chosen by its digest. There is no lock and no list. A
// newer identity can replace an older one, which is authenticated again at its next request.
type Table struct {
	entries int // a power of two
	max     int64
	elapsed *elapsed.Clock
	wall    elapsed.Wall
	seed    maphash.Seed
	key     [16]byte // random, for guessable credentials; short, so that most credentials fit in one SHA-256 block

	places  atomic.Pointer[[]place] // nil before the first put
	guesses atomic.Pointer[[guessStripes]atomic.Uint64]
	bytes   atomic.Int64
	hand    atomic.Uint32 // the next place to sweep
}

type place = atomic.Pointer[entry]

// NewTable returns a table for several middlewares. It returns an error for a negative limit.
func NewTable(opts *TableOptions) (*Table, error) {
	var o TableOptions
	if opts != nil {
		o = *opts
	}
	if o.Entries < 0 || o.Bytes < 0 {
		return nil, errors.New("authn: NewTable: Entries or Bytes is negative (0 or more)")
	}
	if o.Entries == 0 {
		o.Entries = defaultKeep
	}
	if o.Bytes == 0 {
		o.Bytes = defaultKeepBytes
	}
	t := &Table{entries: 1, max: int64(o.Bytes), elapsed: elapsed.New(o.Clock), seed: maphash.MakeSeed()}
	for t.entries*2 <= o.Entries && t.entries < 1<<24 {
		t.entries *= 2
	}
	_, _ = rand.Read(t.key[:]) // never fails; see crypto/rand
	return t, nil
}

// Usage is the current size of a [Table].
type Usage struct{ Entries, Bytes int }

// Usage returns the number of identities in the table and their approximate size in bytes. It
// includes identities that are no longer valid but not removed yet.
func (t *Table) Usage() (u Usage) {
	if places := t.places.Load(); places != nil {
		for i := range *places {
			if (*places)[i].Load() != nil {
				u.Entries++
			}
		}
	}
	u.Bytes = int(t.bytes.Load())
	return u
}

func index(d *digest) uint { return uint(d[2])<<16 | uint(d[3])<<8 | uint(d[4]) }

// get returns the entry of a digest and an Authenticator, or nil, and sets f.at to when it was valid.
// It removes an entry that is no longer valid.
func (t *Table) get(ctx context.Context, d *digest, by Authenticator, f *found) *entry {
	places := t.places.Load()
	if places == nil {
		return nil
	}
	mask := uint(len(*places) - 1)
	for way := range uint(2) {
		at := &(*places)[(index(d)^way)&mask]
		e := at.Load()
		if e == nil || e.digest != *d || e.by != by { // both are comparable: see newLeaf
			continue
		}
		if f.at = elapsed.Read(); e.holdsAt(ctx, t, f.at) {
			return e
		}
		t.remove(at, e)
	}
	return nil
}

// put adds an entry if it fits. It removes other entries to make room.
func (t *Table) put(e *entry) {
	places := t.room()
	if !t.reserve(places, e.size) {
		return
	}
	mask := uint(len(places) - 1)
	at, other := &places[index(&e.digest)&mask], &places[(index(&e.digest)^1)&mask]
	// The entry in the first place moves to the second, so that the oldest entry is dropped.
	if old := other.Load(); old != nil && old.digest == e.digest && old.by == e.by {
		t.remove(other, old)
	}
	if old := at.Swap(e); old != nil {
		if at == other || old.digest == e.digest && old.by == e.by || !old.holds(context.Background(), t) {
			t.bytes.Add(-old.size)
		} else if pushed := other.Swap(old); pushed != nil {
			t.bytes.Add(-pushed.size)
		}
	}
	t.sweep(places)
}

func (t *Table) room() []place {
	places := t.places.Load()
	if places == nil {
		made := make([]place, t.entries)
		t.places.CompareAndSwap(nil, &made)
		places = t.places.Load()
	}
	return *places
}

// reserve adds size to the used bytes. It removes entries until size fits.
func (t *Table) reserve(places []place, size int64) bool {
	if size > t.max {
		return false
	}
	for range 2 * len(places) {
		if n := t.bytes.Load(); n+size > t.max {
			at := &places[t.hand.Add(1)%uint32(len(places))]
			if e := at.Load(); e != nil {
				t.remove(at, e)
			}
		} else if t.bytes.CompareAndSwap(n, n+size) {
			return true
		}
	}
	return false
}

// sweep checks a few places in turn and removes entries that are no longer valid, so that revoked
// credentials do not stay in memory until their place is used again.
func (t *Table) sweep(places []place) {
	for range min(4, len(places)) {
		at := &places[t.hand.Add(1)%uint32(len(places))]
		if e := at.Load(); e != nil && !e.holds(context.Background(), t) {
			t.remove(at, e)
		}
	}
}

func (t *Table) remove(at *place, e *entry) {
	if at.CompareAndSwap(e, nil) {
		t.bytes.Add(-e.size)
	}
}

// remember keeps the result of an Authenticator, if it can be kept, and returns the entry for this
// request, or nil.
func (t *Table) remember(ctx context.Context, d *digest, by Authenticator, id *Identity, k *Keep, g *guess) *entry {
	most := MaxKeep
	if g != nil {
		most = MaxKeepGuessable
	}
	e := t.newEntry(d, by, id, k, most)
	if e == nil {
		return nil
	}
	if g != nil {
		e.guesses, e.guessed = g.count, g.at
	}
	if !e.holds(ctx, t) {
		return nil
	}
	t.put(e)
	return e
}
