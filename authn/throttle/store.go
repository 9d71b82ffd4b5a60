package throttle

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"time"
)

// Key names a bucket: a MAC of what is counted, so that a store sees neither names
// nor addresses, and every key has one size.
type Key [16]byte

// Bucket is something that is counted, with every rate that holds for it. Each
// pair of key and rate is one count: a key under two rates is two of them, so that
// a burst and a sustained limit of one caller do not disturb each other, and a
// changed rate begins anew. Two buckets of one call never share a pair, nor does a
// bucket name one rate twice.
type Bucket struct {
	Key   Key
	Rates []Rate
	// Shared marks one of the few buckets that everybody shares. A store that makes
	// room never evicts it.
	Shared bool
}

// Store counts. It is safe for concurrent use. now is the caller's clock; a store
// that several processes share uses one of its own instead.
//
// The count is the generic cell rate algorithm (GCRA), one time for each bucket and
// rate: a full bucket lets Limit units through at once, then one for each
// Window/Limit. So a window that begins with a full bucket sees up to twice the
// limit, and no window sees more. One time is all that a bucket needs, whatever
// its limit, and one comparison decides: a log of attempts, as Django REST
// Framework keeps it, grows with the limit, and counters of fixed windows forget
// everything at once.
type Store interface {
	// Take takes one unit of every bucket for each of its rates, or none at all. It
	// returns 0 where it took them, and else how long until it would.
	Take(ctx context.Context, now time.Time, buckets []Bucket) (wait time.Duration, err error)
	// GiveBack undoes one Take of the same buckets.
	GiveBack(ctx context.Context, now time.Time, buckets []Bucket) error
}

// namer makes keys. What holds the key is behind a pointer, so that printing what
// holds the namer does not print it.
type namer struct{ macs *sync.Pool }

type mac struct {
	hash.Hash
	text []byte
}

// maxText is the longest text whose buffer is kept for the next name.
const maxText = 1 << 10

// processKey is drawn once, so that limiters without a key of their own agree on
// the names in the store that they share.
var processKey = sync.OnceValue(func() (k [32]byte) {
	_, _ = rand.Read(k[:]) // never fails; see crypto/rand
	return k
})

// newNamer takes 32 bytes, or those of this process.
func newNamer(key []byte) namer {
	if key == nil {
		k := processKey()
		key = k[:]
	}
	key = bytes.Clone(key)
	return namer{&sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}}
}

// name returns the key of a bucket: kind and parts, each with its length.
func (n namer) name(kind string, parts ...string) (k Key) {
	m := n.macs.Get().(*mac)
	m.Reset()
	m.add(kind)
	for _, p := range parts {
		m.add(p)
	}
	m.Write(m.text)
	m.text = m.Sum(m.text[:0])
	copy(k[:], m.text)
	if m.text = m.text[:0]; cap(m.text) <= maxText {
		n.macs.Put(m)
	}
	return k
}

func (m *mac) add(s string) {
	m.text = binary.BigEndian.AppendUint64(m.text, uint64(len(s)))
	m.text = append(m.text, s...)
}
