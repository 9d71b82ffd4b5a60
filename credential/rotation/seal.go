package rotation

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/vestibule-auth/vestibule/storage"
)

// sealLabel separates the sealing key from other keys derived from a secret.
const sealLabel = "vestibule/v1 refresh answer"

// seal encrypts a response, so that a stolen table contains no usable token. It can be decrypted
// only with the token that was exchanged, in a request of the same client with the same parameters.
// The client address of the exchange is included.
func seal(u Use, family string, answer []byte) ([]byte, error) {
	aead, err := sealer(u, family)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails; see crypto/rand
	text := binary.BigEndian.AppendUint32(nil, uint32(len(u.Source)))
	text = append(append(text, u.Source...), answer...)
	return aead.Seal(nonce, nonce, text, bound(u)), nil
}

// unseal returns the client address of the exchange and its response.
func unseal(u Use, family string, sealed []byte) (source string, answer []byte, err error) {
	aead, err := sealer(u, family)
	if err != nil {
		return "", nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return "", nil, errors.New("rotation: unseal: too short")
	}
	text, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], bound(u))
	if err != nil {
		return "", nil, err
	}
	if len(text) < 4 || uint64(len(text)-4) < uint64(binary.BigEndian.Uint32(text)) {
		return "", nil, errors.New("rotation: unseal: no source")
	}
	end := 4 + binary.BigEndian.Uint32(text)
	return string(text[4:end]), text[end:], nil
}

func sealer(u Use, family string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(u.Secret), []byte(family), sealLabel, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// bound returns the values that a repeated request must share with the exchange: row, client,
// scope, resource and key. Each is preceded by its length, and lists by the number of their
// elements.
func bound(u Use) []byte {
	row := storage.DigestOf(u.Secret)
	b := append([]byte(nil), row[:]...)
	text := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	text(u.Purpose)
	text(u.Client)
	text(u.Confirm)
	for _, list := range [][]string{u.Scopes, u.Resource} {
		if list == nil {
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
		for _, s := range list {
			text(s)
		}
	}
	return b
}
