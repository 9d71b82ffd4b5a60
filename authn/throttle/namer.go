package throttle

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// namer creates keys. The secret is behind a pointer, so that printing a value that contains a
// namer does not print it.
type namer struct{ macs *sync.Pool }

type mac struct {
	hash.Hash
	text []byte
}

// maxText is the largest buffer in bytes that is kept for the next name.
const maxText = 1 << 10

// processKey is a random key for this process, so that limiters without a key use the same names in
// a store that they share.
var processKey = sync.OnceValue(func() (k [32]byte) {
	_, _ = rand.Read(k[:]) // never fails; see crypto/rand
	return k
})

// newNamer returns a namer for a 32-byte key. nil means the key of this process.
func newNamer(key []byte) namer {
	if key == nil {
		k := processKey()
		key = k[:]
	}
	key = bytes.Clone(key)
	return namer{&sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}}
}

// name returns the key of a bucket. It is a MAC of kind and parts, each with its length.
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

// keys are the keys of an account and of the networks of an attempt. The keys of all counts of an
// attempt are derived from them.
type keys struct{ account, source, wide, block, net, vast Key }

func (n namer) keysOf(account string, at places) keys {
	k := keys{account: n.name("login account", account), source: n.name("login source", at.source), block: n.name("login source", at.block), net: n.name("login source", at.net), vast: n.name("login source", at.vast)}
	k.wide = k.source
	if at.wide != at.source {
		k.wide = k.block
	}
	return k
}

// of derives a key from keys. These are MACs, so a plain hash is sufficient, and faster.
func of(kind string, parts ...Key) (k Key) {
	var buf [80]byte
	text := append(append(buf[:0], byte(len(kind))), kind...)
	for i := range parts {
		text = append(text, parts[i][:]...)
	}
	sum := sha256.Sum256(text)
	copy(k[:], sum[:])
	return k
}
