// Package keys holds the master key of an application and the keys derived from it.
//
// An application has one master key of 32 random bytes. During a rotation it has a [Ring] of
// several, newest first. All other keys are derived from it with HKDF-SHA-256 (RFC 5869) and a
// fixed label for each [Purpose], so no key serves two purposes.
//
// Load the ring at start with [Load] or [ParseHex], or with [Create] for a first start, and pass it
// to the options of schemes and stores.
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

// Key is a secret key. k[:] returns its bytes; printing it shows [redacted].
type Key [Size]byte

const redacted = "[redacted]"

// String returns "[redacted]".
func (Key) String() string { return redacted }

// GoString returns "[redacted]".
func (Key) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns the JSON string "[redacted]".
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Purpose is what a derived key is used for. Only this package defines purposes, and their labels
// never change.
type Purpose struct{ label string }

// The purposes, each used by one feature.
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
	FactorSeal    = Purpose{"vestibule/v1 factor seal"}
	FactorCodes   = Purpose{"vestibule/v1 factor codes"}
	OpenIDLogin   = Purpose{"vestibule/v1 openid login"}
)

var purposes = [...]Purpose{StaticToken, SessionSeal, CSRF, ShortCodes, ThrottleNames, AuditHashes, DeviceCookie, SigningKeys, DPoPNonce, HintSeal, FactorSeal, FactorCodes, OpenIDLogin}

// String returns the label of the purpose.
func (p Purpose) String() string { return p.label }

// Ring holds master keys and the keys derived from them, newest first. It is read-only and safe for
// concurrent use. Printing it shows [redacted].
type Ring struct{ members []member }

type member struct {
	id      string
	derived map[Purpose]Key
}

// NewRing returns a ring of master keys, newest first. It copies what it needs, so you can clear
// the slices afterwards.
//
// It returns an error if there is no master key, if a key does not have 32 bytes or consists of one
// repeated byte, or if a key occurs twice.
func NewRing(masters ...[]byte) (*Ring, error) {
	if len(masters) == 0 {
		return nil, errors.New("keys: NewRing: no master key (at least one is required)")
	}
	r := new(Ring)
	for i, master := range masters {
		if len(master) != Size {
			return nil, fmt.Errorf("keys: NewRing: master key %d has %d bytes (must be %d)", i+1, len(master), Size)
		}
		if bytes.Count(master, master[:1]) == Size {
			return nil, fmt.Errorf("keys: NewRing: master key %d is one byte repeated (must be random)", i+1)
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
				return nil, fmt.Errorf("keys: NewRing: master key %d is a duplicate", i+1)
			}
		}
		r.members = append(r.members, m)
	}
	return r, nil
}

// Generate returns a new random master key of 32 bytes.
func Generate() []byte {
	k := make([]byte, Size)
	_, _ = rand.Read(k) // cannot fail; see crypto/rand
	return k
}

func derive(master []byte, label string, n int) ([]byte, error) {
	return hkdf.Key(sha256.New, master, nil, label, n)
}

// Newest returns the key for a purpose from the newest master key, and the ID of that master key.
// Store the ID with the data that the key protects, and pass it to [Ring.ByID] later. It panics for
// the zero Purpose.
func (r *Ring) Newest(p Purpose) (id string, k Key) {
	m := r.members[0]
	return m.id, m.key(p)
}

// ByID returns the key for a purpose from the master key with that ID. It returns false if that
// master key is not in the ring. It panics for the zero Purpose.
func (r *Ring) ByID(p Purpose, id string) (Key, bool) {
	for _, m := range r.members {
		if m.id == id {
			return m.key(p), true
		}
	}
	return Key{}, false
}

// Has reports whether the master key with that ID is in the ring.
func (r *Ring) Has(id string) bool {
	for i := range r.members {
		if r.members[i].id == id {
			return true
		}
	}
	return false
}

// IDs returns the IDs of the master keys, newest first. They reveal nothing about the keys.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.members))
	for i, m := range r.members {
		ids[i] = m.id
	}
	return ids
}

// String returns "[redacted]".
func (Ring) String() string { return redacted }

// GoString returns "[redacted]".
func (Ring) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Ring) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns the JSON string "[redacted]".
func (Ring) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// key panics for the zero Purpose, because that is a programming error that the first use finds.
func (m member) key(p Purpose) Key {
	k, ok := m.derived[p]
	if !ok {
		panic("keys: unknown purpose (use one of package keys)")
	}
	return k
}
