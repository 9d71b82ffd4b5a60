package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Algorithm is a signature algorithm of RFC 7518 section 3.1 or RFC 8037.
type Algorithm string

// The algorithms. EdDSA is Ed25519.
const (
	HS256 Algorithm = "HS256"
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	EdDSA Algorithm = "EdDSA"
)

// Key is one key: its "kid", one algorithm that it serves for, and no other
// (RFC 8725 section 3.1). It is immutable; printing it says its ID alone.
type Key struct {
	id     string
	alg    Algorithm
	method method
	public crypto.PublicKey // nil: a secret
	signer crypto.Signer    // nil: verifies only
	secret *secret
}

// NewSecret makes a key for HS256, HS384 or HS512 from random bytes, at least as many as the
// hash has (RFC 7518, section 3.2). Do not use it with a text that a person chose.
//
// It refuses bytes that begin or end with white space, as a file with a line break does, one
// byte repeated, and everything that looks like a key file: PEM, DER, a certificate, a JWK or
// JWK set, an SSH key, the output of openssl, also in quotes, a data: URL, base64 or hex, or several
// of them around each other. Anyone can know a public key, and a verifier that
// used one as a secret would accept tokens that anyone signed (RFC 8725, section 2.1).
func NewSecret(id string, alg Algorithm, key []byte) (*Key, error) {
	m, err := alg.of(kindSecret, id)
	if err != nil {
		return nil, err
	}
	switch {
	case len(key) < m.hash.Size():
		return nil, fmt.Errorf("jose: a secret of %d bytes for %s: want %d or more", len(key), alg, m.hash.Size())
	case len(bytes.TrimSpace(key)) != len(key):
		return nil, errors.New("jose: a secret with white space at an end")
	case bytes.Count(key, key[:1]) == len(key):
		return nil, errors.New("jose: a secret of one byte repeated")
	}
	if form := keyFile(key); form != "" {
		return nil, fmt.Errorf("jose: NewSecret: this is %s, not a secret (use ParsePEM or ParseJWKS for keys)", form)
	}
	return &Key{id: id, alg: alg, method: m, secret: newSecret(m.hash, key)}, nil
}

// NewPrivate makes a key that signs: an *rsa.PrivateKey of at least 2,048 bits, an
// *ecdsa.PrivateKey on the algorithm's curve, or an ed25519.PrivateKey. One whose
// public half is another key's is refused. What key points to must not be changed
// afterwards.
func NewPrivate(id string, alg Algorithm, key crypto.Signer) (*Key, error) {
	key, public, err := private(key)
	if err != nil {
		return nil, err
	}
	k, err := NewPublic(id, alg, public)
	if err != nil {
		return nil, err
	}
	k.signer = key
	return k, nil
}

// NewPublic makes a key that verifies: an *rsa.PublicKey of 2,048 to 8,192
// bits whose exponent is at most 65,537, an
// *ecdsa.PublicKey on the algorithm's curve, or an ed25519.PublicKey.
func NewPublic(id string, alg Algorithm, key crypto.PublicKey) (*Key, error) {
	m, err := alg.of(kindOf(key), id)
	if err != nil {
		return nil, err
	}
	if key, err = m.public(key); err != nil {
		return nil, err
	}
	return &Key{id: id, alg: alg, method: m, public: key}, nil
}

// Generate makes a key with a random ID from crypto/rand: a secret of the hash's
// size, RSA of 3,072 bits, or a key on the algorithm's curve.
func Generate(alg Algorithm) (*Key, error) {
	id := strings.ToLower(rand.Text())
	m, err := alg.method()
	if err != nil {
		return nil, err
	}
	var key crypto.Signer
	switch m.kind {
	case kindSecret:
		b := make([]byte, m.hash.Size())
		for {
			_, _ = rand.Read(b)                              // never fails; see crypto/rand
			if k, err := NewSecret(id, alg, b); err == nil { // by chance it refuses a few
				return k, nil
			}
		}
	case kindRSA:
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	case kindEC:
		key, err = ecdsa.GenerateKey(m.curve, rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("jose: %w", err)
	}
	return NewPrivate(id, alg, key)
}

// ID returns the "kid".
func (k *Key) ID() string { return k.id }

// Algorithm returns the one algorithm of the key.
func (k *Key) Algorithm() Algorithm { return k.alg }

// CanSign reports whether the key signs as well as verifies.
func (k *Key) CanSign() bool { return k.signer != nil || k.secret != nil }

// Public returns the public key, which must not be changed, or nil for a secret.
func (k *Key) Public() crypto.PublicKey { return k.public }

// String says the ID alone.
func (k Key) String() string { return "Key(" + k.id + ")" }

// GoString is String.
func (k Key) GoString() string { return k.String() }

// LogValue is String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON is String: a public key is published by Ring.JWKS.
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

// kind is the family of an algorithm's keys.
type kind uint8

const (
	kindNone kind = iota
	kindSecret
	kindRSA
	kindEC
	kindEd
)

func kindOf(key crypto.PublicKey) kind {
	switch key.(type) {
	case *rsa.PublicKey:
		return kindRSA
	case *ecdsa.PublicKey:
		return kindEC
	case ed25519.PublicKey:
		return kindEd
	}
	return kindNone
}

// of returns the method for a key of that kind, and checks the ID.
func (a Algorithm) of(k kind, id string) (method, error) {
	m, err := a.method()
	switch {
	case err != nil:
		return method{}, err
	case m.kind != k:
		return method{}, fmt.Errorf("jose: a key of another kind than %s needs", a)
	case !isIdentifier(id):
		return method{}, errors.New("jose: a key ID is 1 to 255 bytes of UTF-8 without control characters")
	}
	return m, nil
}
