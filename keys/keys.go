// Package keys holds the master key of an application and the keys derived from
// it.
//
// An application has one master key of 32 random bytes, or a ring of them,
// newest first, while one replaces another. Everything else is derived from it by
// HKDF-SHA-256 (RFC 5869) with a fixed label for each purpose: one key, one
// purpose.
package keys

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
)

// Size is the length of a master key and of every key derived from it, in bytes.
const Size = 32

// Key is a secret key. Printing it says [redacted]; k[:] gives the bytes.
type Key [Size]byte

const redacted = "[redacted]"

// String says [redacted].
func (Key) String() string { return redacted }

// GoString says [redacted].
func (Key) GoString() string { return redacted }

// LogValue says [redacted].
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON says "[redacted]".
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Purpose is what a derived key serves for. The purposes are those of this
// package; their labels never change.
type Purpose struct{ label string }

// The purposes.
var (
	StaticToken   = Purpose{"vestibule/v1 static token"}
	SessionSeal   = Purpose{"vestibule/v1 session seal"}
	CSRF          = Purpose{"vestibule/v1 csrf"}
	ShortCodes    = Purpose{"vestibule/v1 short codes"}
	ThrottleNames = Purpose{"vestibule/v1 throttle names"}
	AuditHashes   = Purpose{"vestibule/v1 audit hashes"}
	DeviceCookie  = Purpose{"vestibule/v1 device cookie"}
	SigningKeys   = Purpose{"vestibule/v1 signing keys"}
	DPoPNonce     = Purpose{"vestibule/v1 dpop nonce"}
	HintSeal      = Purpose{"vestibule/v1 id token hint seal"}
)

var purposes = [...]Purpose{StaticToken, SessionSeal, CSRF, ShortCodes, ThrottleNames, AuditHashes, DeviceCookie, SigningKeys, DPoPNonce, HintSeal}

// String returns the purpose's label.
func (p Purpose) String() string { return p.label }

// Ring is the master keys with everything derived from them, newest first. It is
// read-only and safe for concurrent use. Printing it says [redacted].
type Ring struct{ members []member }

type member struct {
	id      string
	derived map[Purpose]Key
}

// NewRing makes a ring of master keys, newest first. It refuses none at all, one
// that has not 32 bytes or is all one byte, and the same one twice. It keeps
// nothing of the slices.
func NewRing(masters ...[]byte) (*Ring, error) {
	if len(masters) == 0 {
		return nil, errors.New("keys: no master key")
	}
	r := new(Ring)
	for i, master := range masters {
		if len(master) != Size {
			return nil, fmt.Errorf("keys: master key %d has %d bytes, want %d", i+1, len(master), Size)
		}
		if bytes.Count(master, master[:1]) == Size {
			return nil, fmt.Errorf("keys: master key %d is all one byte", i+1)
		}
		id, err := derive(master, "vestibule/v1 key id", 8)
		if err != nil {
			return nil, err
		}
		m := member{id: hex.EncodeToString(id), derived: make(map[Purpose]Key, len(purposes))}
		for _, p := range purposes {
			k, err := derive(master, p.label, Size)
			if err != nil {
				return nil, err
			}
			m.derived[p] = Key(k)
		}
		for _, other := range r.members {
			if other.id == m.id {
				return nil, fmt.Errorf("keys: master key %d is in the ring twice", i+1)
			}
		}
		r.members = append(r.members, m)
	}
	return r, nil
}

// Generate returns a new master key from crypto/rand.
func Generate() []byte {
	k := make([]byte, Size)
	_, _ = rand.Read(k) // never fails; see crypto/rand
	return k
}

func derive(master []byte, label string, n int) ([]byte, error) {
	return hkdf.Key(sha256.New, master, nil, label, n)
}

// Newest returns the key for a purpose under the newest master key, and the id
// of that master key, to be stored beside what the key makes.
func (r *Ring) Newest(p Purpose) (id string, k Key) {
	m := r.members[0]
	return m.id, m.key(p)
}

// ByID returns the key for a purpose under the master key with that id. It
// reports false where that key is not, or not any longer, in the ring.
func (r *Ring) ByID(p Purpose, id string) (Key, bool) {
	for _, m := range r.members {
		if m.id == id {
			return m.key(p), true
		}
	}
	return Key{}, false
}

// Has reports whether the master key with that id is in the ring.
func (r *Ring) Has(id string) bool {
	for i := range r.members {
		if r.members[i].id == id {
			return true
		}
	}
	return false
}

// IDs returns the ids of the master keys, newest first. They identify the keys
// and tell nothing of them.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.members))
	for i, m := range r.members {
		ids[i] = m.id
	}
	return ids
}

// String says [redacted].
func (Ring) String() string { return redacted }

// GoString says [redacted].
func (Ring) GoString() string { return redacted }

// LogValue says [redacted].
func (Ring) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON says "[redacted]".
func (Ring) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// key panics for the zero Purpose: that is a mistake of the program, found the
// first time it runs.
func (m member) key(p Purpose) Key {
	k, ok := m.derived[p]
	if !ok {
		panic("keys: not a purpose of this package")
	}
	return k
}
