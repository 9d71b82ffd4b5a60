// Package django reads what a Django application keeps, so that its users stay
// logged in when the API moves to Go.
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

// KnoxVersion is how a release of django-rest-knox makes a digest of a token.
type KnoxVersion uint8

const (
	// Knox41 hashes the token's bytes and the row's salt (up to release 4.1).
	Knox41 KnoxVersion = iota + 1
	// Knox42 hashes the token's bytes (release 4.2).
	Knox42
	// Knox5 hashes the token's text (from release 5.0 on).
	Knox5
)

// KnoxHash is how the digests of one table were made: the release and the setting
// SECURE_HASH_ALGORITHM. It is named by whoever knows the table, never guessed from a
// row: a digest of one kind is not tried as another.
type KnoxHash struct {
	version KnoxVersion
	new     func() hash.Hash
}

// NewKnoxHash returns the hash of a release and of an algorithm: "sha512" (the
// default where ""), "sha256", "sha3_512" or "blake2b", as hashlib names them.
func NewKnoxHash(v KnoxVersion, algorithm string) (KnoxHash, error) {
	if v < Knox41 || v > Knox5 {
		return KnoxHash{}, fmt.Errorf("django: unknown version %d of Knox", v)
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
	return KnoxHash{}, fmt.Errorf("django: unknown hash %q", algorithm)
}

func newBlake2b() hash.Hash {
	h, err := blake2b.New512(nil)
	if err != nil {
		panic(err) // there is no key that could be wrong
	}
	return h
}

var errNoHex = errors.New("django: the token is not hex digits")

// Digest returns the digest of a token as the table holds it. salt is the row's with
// Knox41 and "" otherwise. The error says that the token cannot be one of that
// release, which takes hex digits alone up to 4.2.
func (k KnoxHash) Digest(token, salt string) (string, error) {
	if k.new == nil {
		return "", errors.New("django: the zero KnoxHash")
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
			return "", errors.New("django: the row has no salt of hex digits, as one of Knox 4.1 has")
		}
		h.Write(s)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Matches reports whether a token is the one of a row. The digests are compared in
// constant time.
func (k KnoxHash) Matches(token, salt, digest string) bool {
	got, err := k.Digest(token, salt)
	return err == nil && subtle.ConstantTimeCompare([]byte(got), []byte(digest)) == 1
}

// TokenKey returns the token's beginning, by which a release looks rows up: 8
// characters up to 4.2, 15 from 5.0 on. Rows that share it are all compared.
func (k KnoxHash) TokenKey(token string) string {
	n := 8
	if k.version == Knox5 {
		n = 15
	}
	return token[:min(n, len(token))]
}
