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

// Seal encrypts a private key or secret for storage in a database. It uses AES-256-GCM with a key
// derived from the newest master key, and binds the result to the key's ID, purpose and algorithm.
// Store masterID, the ID of the master key, with it. [OpenSealed] decrypts it. Seal returns an
// error if the key cannot sign.
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
		return "", nil, fmt.Errorf("jose: Seal: key %s has no private part", k.id)
	}
	masterID, master := ring.Newest(keys.SigningKeys)
	aead, err := newAEAD(master)
	if err != nil {
		return "", nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // cannot fail; see crypto/rand
	return masterID, aead.Seal(nonce, nonce, plain, bound(k.id, purpose, k.alg)), nil
}

// OpenSealed decrypts the result of [Key.Seal]. It returns an error if the master key is no longer
// in the ring, or if ID, purpose or algorithm differ from the sealed key's.
func OpenSealed(ring *keys.Ring, purpose, id string, alg Algorithm, masterID string, sealed []byte) (*Key, error) {
	m, err := alg.method()
	if err != nil {
		return nil, err
	}
	master, ok := ring.ByID(keys.SigningKeys, masterID)
	if !ok {
		return nil, fmt.Errorf("jose: OpenSealed: the master key of key %s is not in the ring", id)
	}
	aead, err := newAEAD(master)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("jose: OpenSealed: the sealed key is too short")
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], bound(id, purpose, alg))
	if err != nil {
		return nil, fmt.Errorf("jose: OpenSealed: key %s was modified, or sealed for another purpose or algorithm", id)
	}
	if m.kind == kindSecret {
		return NewSecret(id, alg, plain)
	}
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("jose: OpenSealed: key %s is malformed", id)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("jose: OpenSealed: key %s has the unsupported type %T", id, key)
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
