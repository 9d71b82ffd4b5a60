package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
)

// content is the content of a sealed cookie, and the Identity.Credential of its identity.
type content struct {
	by       *Sealed // the scheme that opened it; not in the cookie
	subject  string
	epoch    int64
	roles    []string
	authTime time.Time
	acr      string
	amr      []string
	created  time.Time
	seen     time.Time // last recorded use
	secret   string    // of the CSRF tokens; changes with the next login
	data     []byte
}

// String returns "[redacted]".
func (*content) String() string { return "[redacted]" }

// GoString returns "[redacted]".
func (*content) GoString() string { return "[redacted]" }

// A sealed cookie is base64url of
//
//	1 byte    sealVersion, or plainVersion
//	8 bytes   ID of the master key
//	16 bytes  random, for the key of this cookie
//	12 bytes  random nonce
//	          the content, encrypted with AES-256-GCM, and its 16-byte tag
//
// It is bound to the purpose, the name of the cookie in HTTP headers, and the bytes before the
// content. The key is HMAC-SHA-256 of the 16 random bytes with the key ring's key for the purpose.
// Each cookie has so many new random bits that the number of cookies is not limited by GCM.
const (
	sealVersion = 2
	// plainVersion is the version of earlier programs, whose content has no acr and no amr.
	plainVersion = 1
	sealLabel    = "vestibule/v1 sealed session"
	idBytes      = 8
	sealHead     = 1 + idBytes
	sealRandom   = 16 + 12
	sealTag      = 16
)

// errSealed is the only error of open for an invalid cookie, so that a response does not reveal how
// close a forgery was.
var errSealed = errors.New("the cookie was modified or sealed for another use")

// seal returns the value of a cookie with that name.
func seal(ring *keys.Ring, purpose keys.Purpose, random io.Reader, name string, c *content) (string, error) {
	id, key := ring.Newest(purpose)
	rawID, err := hex.DecodeString(id)
	if err != nil || len(rawID) != idBytes {
		return "", errors.New("session: seal: the ID of a master key must have 8 bytes")
	}
	out := append([]byte{sealVersion}, rawID...)
	out = append(out, make([]byte, sealRandom)...)
	if _, err := io.ReadFull(random, out[sealHead:]); err != nil {
		return "", err
	}
	aead, err := sealer(key, out)
	if err != nil {
		return "", err
	}
	out = aead.Seal(out, out[sealHead+16:sealHead+sealRandom], c.encode(), sealBound(name, out))
	return base64.RawURLEncoding.EncodeToString(out), nil
}

// open returns the content of a cookie value, or errSealed.
func open(ring *keys.Ring, purpose keys.Purpose, name, text string) (*content, error) {
	if len(text) > maxCookie { // longer than browsers store
		return nil, errSealed
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text) // it skips line breaks, so reject them below
	if err != nil || strings.ContainsAny(text, "\r\n") || len(raw) < sealHead+sealRandom+sealTag || raw[0] != sealVersion && raw[0] != plainVersion {
		return nil, errSealed
	}
	key, ok := ring.ByID(purpose, hex.EncodeToString(raw[1:sealHead]))
	if !ok {
		return nil, errSealed
	}
	aead, err := sealer(key, raw)
	if err != nil {
		return nil, err
	}
	const head = sealHead + sealRandom
	plain, err := aead.Open(nil, raw[sealHead+16:head], raw[head:], sealBound(name, raw[:head]))
	if err != nil {
		return nil, errSealed
	}
	return decodeContent(plain, raw[0])
}

func sealer(key keys.Key, head []byte) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(sealLabel))
	mac.Write(head[sealHead : sealHead+16])
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func sealBound(name string, head []byte) []byte {
	return append(append([]byte(sealLabel+"\x00"+name+"\x00"), head[:sealHead]...), 0)
}

func (c *content) encode() []byte {
	var b []byte
	text := func(s string) {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	text(c.subject)
	b = binary.AppendVarint(b, c.epoch)
	for _, t := range [...]time.Time{c.authTime, c.created, c.seen} {
		b = binary.AppendVarint(b, t.UnixMicro())
	}
	text(c.secret)
	text(c.acr)
	b = binary.AppendUvarint(b, uint64(len(c.amr)))
	for _, m := range c.amr {
		text(m)
	}
	b = binary.AppendUvarint(b, uint64(len(c.roles)))
	for _, r := range c.roles {
		text(r)
	}
	return append(b, c.data...)
}

// decodeContent decodes the result of encode in a cookie of that version. The content is authentic,
// but a later version of this program may have written it.
func decodeContent(b []byte, version byte) (*content, error) {
	d := decoder{b}
	ok := true
	text := func() string {
		n, good := d.uvarint()
		s, better := d.take(n)
		ok = ok && good && better
		return string(s)
	}
	number := func() int64 {
		x, n := binary.Varint(d.rest)
		if n <= 0 {
			ok = false
			return 0
		}
		d.rest = d.rest[n:]
		return x
	}
	c := &content{subject: text(), epoch: number()}
	c.authTime, c.created, c.seen = time.UnixMicro(number()).UTC(), time.UnixMicro(number()).UTC(), time.UnixMicro(number()).UTC()
	c.secret = text()
	list := func() (l []string) {
		n, good := d.uvarint()
		for ok = ok && good; ok && n > 0; n-- {
			l = append(l, text())
		}
		return l
	}
	if version != plainVersion {
		c.acr, c.amr = text(), list()
	}
	c.roles = list()
	if !ok {
		return nil, errSealed
	}
	c.data = d.rest
	return c, nil
}
