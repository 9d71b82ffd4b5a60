package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Key names a bucket: a MAC of what is counted, so that a store sees neither names
// nor addresses, and every key has one size.
type Key [16]byte

// Bucket is something that is counted, with every rate that holds for it.
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
// limit, and no window sees more.
type Store interface {
	// Take takes one unit of every bucket for each of its rates, or none at all. It
	// returns 0 where it took them, and else how long until it would.
	Take(ctx context.Context, now time.Time, buckets []Bucket) (wait time.Duration, err error)
	// GiveBack undoes one Take of the same buckets.
	GiveBack(ctx context.Context, now time.Time, buckets []Bucket) error
}

// namer makes keys. Its own key is behind a pointer, so that printing what holds
// the namer does not print it.
type namer struct{ key *[32]byte }

// newNamer takes 32 bytes, or draws them for this process.
func newNamer(key []byte) namer {
	n := namer{new([32]byte)}
	if copy(n.key[:], key) == 0 {
		_, _ = rand.Read(n.key[:]) // never fails; see crypto/rand
	}
	return n
}

// name returns the key of a bucket: kind and parts, each with its length.
func (n namer) name(kind string, parts ...string) (k Key) {
	h := hmac.New(sha256.New, n.key[:])
	write := func(s string) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(s)))
		h.Write(size[:])
		h.Write([]byte(s))
	}
	write(kind)
	for _, p := range parts {
		write(p)
	}
	copy(k[:], h.Sum(nil))
	return k
}
