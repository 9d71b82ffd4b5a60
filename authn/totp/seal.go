package totp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// seal encrypts the key of an app with AES-256-GCM, bound to its account and its ID.
func (t *TOTP) seal(f *storage.Factor, secret []byte) error {
	id, key := t.ring.Newest(keys.FactorSeal)
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(t.opts.Rand, nonce); err != nil {
		return fmt.Errorf("totp: read random bytes: %w", err)
	}
	f.KeyID, f.Secret = id, aead.Seal(nonce, nonce, secret, bound(f))
	return nil
}

// open returns the key of an app.
func (t *TOTP) open(f storage.Factor) ([]byte, error) {
	key, ok := t.ring.ByID(keys.FactorSeal, f.KeyID)
	if !ok {
		return nil, fmt.Errorf("totp: the master key of factor %s is not in the ring", f.ID)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	n := aead.NonceSize()
	if len(f.Secret) < n {
		return nil, errors.New("totp: an encrypted key is too short")
	}
	secret, err := aead.Open(nil, f.Secret[:n], f.Secret[n:], bound(&f))
	if err != nil {
		return nil, fmt.Errorf("totp: factor %s was modified, or encrypted for another account", f.ID)
	}
	return secret, nil
}

func bound(f *storage.Factor) []byte {
	return []byte(kindApp + "\x00" + local(f.Subject) + "\x00" + f.ID)
}

// local returns a subject without its name space, which can be added later (gormstore.Store.NameSpace).
func local(subject string) string {
	if space, id, ok := strings.Cut(subject, ":"); ok && storage.CheckSpace(space) == nil {
		return id
	}
	return subject
}

func newAEAD(key keys.Key) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// mac returns the keyed hash of a text of an account. Calls with different purposes have different
// results for the same text.
func mac(key keys.Key, purpose, subject, text string) (sum storage.MAC) {
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte(purpose + "\x00" + subject + "\x00" + text))
	h.Sum(sum[:0])
	return sum
}

// recoveryID is the ID of the factor for a recovery code.
func recoveryID(key keys.Key, subject, code string) string {
	sum := mac(key, "recovery", local(subject), code)
	return "recovery-" + hex.EncodeToString(sum[:])
}
