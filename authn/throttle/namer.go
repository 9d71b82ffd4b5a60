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

// keys are those of an account and of the networks of an attempt. Everything that is counted
// for an attempt is named after them.
type keys struct{ account, source, wide, block, net, vast Key }

func (n namer) keysOf(account string, at places) keys {
	k := keys{account: n.name("login account", account), source: n.name("login source", at.source), block: n.name("login source", at.block), net: n.name("login source", at.net), vast: n.name("login source", at.vast)}
	k.wide = k.source
	if at.wide != at.source {
		k.wide = k.block
	}
	return k
}

// of derives a key from keys. They are MACs, so a plain hash serves, at a fraction of the time.
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
