package credential

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/vestibule-auth/vestibule/keys"
)

// MAC returns HMAC-SHA-256 with key over a label and parts. Each part is preceded by its length, so
// that no two lists of parts have the same input. Use a different label for each purpose. Compare
// MACs with hmac.Equal.
//
// Use MAC for a secret that must be recognized but is too weak for a digest: a value that a person
// chose, or a value with fewer than 128 random bits.
func MAC(key keys.Key, label string, parts ...string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, key[:])
	var length [8]byte
	add := func(s string) {
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		mac.Write(length[:])
		mac.Write([]byte(s))
	}
	add(label)
	for _, p := range parts {
		add(p)
	}
	return [sha256.Size]byte(mac.Sum(nil))
}
