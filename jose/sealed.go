package jose

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vestibule-auth/vestibule/keys"
)

// Seal encrypts a key that signs, for a database: AES-256-GCM under a key derived
// from the newest master key, bound to the key's ID, its purpose and its algorithm
// . It returns the ID of the master key, to be stored beside it.
func (k *Key) Seal(ring *keys.Ring, purpose string) (masterID string, sealed []byte, err error) {
	var plain []byte
	switch {
	case k.secret != nil:
		plain = k.secret.key
	case k.signer != nil:
		if plain, err = x509.MarshalPKCS8PrivateKey(k.signer); err != nil {
			return "", nil, fmt.Errorf("jose: %w", err)
		}
	default:
		return "", nil, fmt.Errorf("jose: key %s verifies only", k.id)
	}
	masterID, master := ring.Newest(keys.SigningKeys)
	aead, err := newAEAD(master)
	if err != nil {
		return "", nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails; see crypto/rand
	return masterID, aead.Seal(nonce, nonce, plain, bound(k.id, purpose, k.alg)), nil
}

// OpenSealed decrypts what Seal made. It fails where the master key left the ring,
// and where anything that the key is bound to is another.
func OpenSealed(ring *keys.Ring, purpose, id string, alg Algorithm, masterID string, sealed []byte) (*Key, error) {
	m, err := alg.method()
	if err != nil {
		return nil, err
	}
	master, ok := ring.ByID(keys.SigningKeys, masterID)
	if !ok {
		return nil, fmt.Errorf("jose: key %s is sealed under a master key that is not in the ring", id)
	}
	aead, err := newAEAD(master)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("jose: a sealed key is too short")
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], bound(id, purpose, alg))
	if err != nil {
		return nil, fmt.Errorf("jose: key %s does not open: it was sealed for something else, or changed", id)
	}
	if m.kind == kindSecret {
		return NewSecret(id, alg, plain)
	}
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("jose: key %s cannot be read", id)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("jose: key %s is of type %T", id, key)
	}
	return NewPrivate(id, alg, signer)
}

func newAEAD(master keys.Key) (cipher.AEAD, error) {
	block, err := aes.NewCipher(master[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func bound(id, purpose string, alg Algorithm) (b []byte) {
	for _, s := range [...]string{id, purpose, string(alg)} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}
