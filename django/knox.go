// Package django reads data of Django applications, so that users stay logged in when an API moves
// to Go. [KnoxHash] verifies the tokens of django-rest-knox. Package authn/password verifies
// Django's password hashes, and package jose verifies tokens of djangorestframework-simplejwt.
package django

import (
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/blake2b"
)

// KnoxVersion is a range of django-rest-knox releases that compute the digest of a token in the
// same way.
type KnoxVersion uint8

const (
	// Knox41 hashes the token's bytes and the row's salt (releases up to 4.1).
	Knox41 KnoxVersion = iota + 1
	// Knox42 hashes the token's bytes (release 4.2).
	Knox42
	// Knox5 hashes the token's text (releases from 5.0 on).
	Knox5
)

// KnoxHash computes the digests of one Knox table, which depend on the release and on the setting
// SECURE_HASH_ALGORITHM. Create it with [NewKnoxHash]. It never tries another release or algorithm,
// so rows of other releases and algorithms do not match. It is safe for concurrent use; the zero
// value is invalid.
type KnoxHash struct {
	version KnoxVersion
	new     func() hash.Hash
}

// NewKnoxHash returns the hash for a release and an algorithm. The name of the algorithm is its
// name in Python's hashlib: "sha512" (also ""), "sha256", "sha3_512" or "blake2b". It returns an
// error for an unknown version or algorithm.
func NewKnoxHash(v KnoxVersion, algorithm string) (KnoxHash, error) {
	if v < Knox41 || v > Knox5 {
		return KnoxHash{}, fmt.Errorf("django: NewKnoxHash: unknown version %d (Knox41, Knox42 or Knox5)", v)
	}
	switch algorithm {
	case "", "sha512":
		return KnoxHash{v, sha512.New}, nil
	case "sha256":
		return KnoxHash{v, sha256.New}, nil
	case "sha3_512":
		return KnoxHash{v, func() hash.Hash { return sha3.New512() }}, nil
	case "blake2b":
		return KnoxHash{v, newBlake2b}, nil
	}
	return KnoxHash{}, fmt.Errorf("django: NewKnoxHash: unknown algorithm %q (sha512, sha256, sha3_512 or blake2b)", algorithm)
}

func newBlake2b() hash.Hash {
	h, err := blake2b.New512(nil)
	if err != nil {
		panic(err) // cannot happen: New512 fails only for an invalid key
	}
	return h
}

var errNoHex = errors.New("django: Digest: the token is not hexadecimal")

// Digest returns the digest of a token as in the table, in hexadecimal. salt is the salt of the row
// for Knox41, and "" otherwise. It returns an error if the token or the salt is not hexadecimal, as
// releases up to 4.2 require, or if k is the zero value.
func (k KnoxHash) Digest(token, salt string) (string, error) {
	if k.new == nil {
		return "", errors.New("django: Digest: the KnoxHash is zero (use NewKnoxHash)")
	}
	h := k.new()
	if k.version == Knox5 {
		h.Write([]byte(token))
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	b, err := hex.DecodeString(token)
	if err != nil {
		return "", errNoHex
	}
	h.Write(b)
	if k.version == Knox41 {
		s, err := hex.DecodeString(salt)
		if err != nil || len(s) == 0 {
			return "", errors.New("django: Digest: the row has no hexadecimal salt, which Knox41 requires")
		}
		h.Write(s)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Matches reports whether a token belongs to a row with that salt and digest. It compares in
// constant time.
func (k KnoxHash) Matches(token, salt, digest string) bool {
	got, err := k.Digest(token, salt)
	return err == nil && subtle.ConstantTimeCompare([]byte(got), []byte(digest)) == 1
}

// TokenKey returns the beginning of a token by which a release looks up rows: 8 characters up to
// release 4.2, 15 from 5.0 on. Compare the token with all rows that have this key, by calling
// [KnoxHash.Matches].
func (k KnoxHash) TokenKey(token string) string {
	n := 8
	if k.version == Knox5 {
		n = 15
	}
	return token[:min(n, len(token))]
}
