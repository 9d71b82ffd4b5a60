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

// Algorithm is a signature algorithm (RFC 7518, section 3.1, and RFC 8037).
type Algorithm string

// The supported algorithms. EdDSA means Ed25519.
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

// Key is a key with its ID ("kid") and the only algorithm that it is used for (RFC 8725, section
// 3.1). It is immutable and safe for concurrent use. Printing it shows only its ID.
type Key struct {
	id     string
	alg    Algorithm
	method method
	public crypto.PublicKey // nil for an HMAC secret
	signer crypto.Signer    // nil if the key only verifies
	secret *secret
	issuer string // "": any
}

// NewSecret returns a key for HS256, HS384 or HS512. key must be random bytes, at least 32, 48 or
// 64: the size of the hash (RFC 7518, section 3.2). Do not use a text that a person chose.
//
// NewSecret returns an error for
//   - bytes that begin or end with white space, such as a file with a line break
//   - one byte repeated
//   - anything that looks like a key file: PEM, DER, a certificate, a JWK or JWK Set, an SSH key or
//     the output of openssl. This includes quoted, base64, hex and data: URL forms, even nested
//
// Public keys are refused because anyone can know them: a verifier that used one as a secret would
// accept tokens that anyone signed (RFC 8725, section 2.1).
func NewSecret(id string, alg Algorithm, key []byte) (*Key, error) {
	m, err := alg.methodFor(kindSecret, id)
	if err != nil {
		return nil, err
	}
	switch {
	case len(key) < m.hash.Size():
		return nil, fmt.Errorf("jose: NewSecret: %d bytes is too short for %s (at least %d)", len(key), alg, m.hash.Size())
	case len(bytes.TrimSpace(key)) != len(key):
		return nil, errors.New("jose: NewSecret: the secret begins or ends with white space")
	case bytes.Count(key, key[:1]) == len(key):
		return nil, errors.New("jose: NewSecret: the secret is one byte repeated")
	}
	if form := keyFile(key); form != "" {
		return nil, fmt.Errorf("jose: NewSecret: the secret looks like %s (use ParsePEM or ParseJWKS for keys)", form)
	}
	return &Key{id: id, alg: alg, method: m, secret: newSecret(m.hash, key)}, nil
}

// NewPrivate returns a key that signs and verifies. key is an *rsa.PrivateKey of 2048 to 8192 bits,
// an *ecdsa.PrivateKey on the algorithm's curve, or an ed25519.PrivateKey. It must not be modified
// afterwards.
//
// It returns an error if the type or size does not fit the algorithm, the ID is invalid, or the
// public half does not belong to the private key.
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

// NewPublic returns a key that only verifies. key is an *rsa.PublicKey of 2048 to 8192 bits with an
// exponent of at most 65537, an *ecdsa.PublicKey on the algorithm's curve, or an ed25519.PublicKey.
// NewPublic copies it.
func NewPublic(id string, alg Algorithm, key crypto.PublicKey) (*Key, error) {
	m, err := alg.methodFor(kindOf(key), id)
	if err != nil {
		return nil, err
	}
	if key, err = m.public(key); err != nil {
		return nil, err
	}
	return &Key{id: id, alg: alg, method: m, public: key}, nil
}

// Generate returns a new key with a random ID: an HMAC secret of the hash's size, an RSA key of
// 3072 bits, or a key on the algorithm's curve. It reads crypto/rand.
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
			_, _ = rand.Read(b)                              // cannot fail; see crypto/rand
			if k, err := NewSecret(id, alg, b); err == nil { // NewSecret refuses a few random values
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

// ID returns the key ID ("kid").
func (k *Key) ID() string { return k.id }

// Algorithm returns the algorithm of the key.
func (k *Key) Algorithm() Algorithm { return k.alg }

// Issuer returns the only issuer whose tokens the key verifies, or "" for any. It is the member
// "issuer" of a JWK, which Entra ID publishes. In it, "{tenantid}" stands for one segment of the
// path.
func (k *Key) Issuer() string { return k.issuer }

// CanSign reports whether the key can sign. Every key can verify.
func (k *Key) CanSign() bool { return k.signer != nil || k.secret != nil }

// Public returns the public key, or nil for an HMAC secret. It must not be modified.
func (k *Key) Public() crypto.PublicKey { return k.public }

// String returns "Key(ID)", without the key itself.
func (k Key) String() string { return "Key(" + k.id + ")" }

// GoString returns the same as String.
func (k Key) GoString() string { return k.String() }

// LogValue returns the same as String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON encodes the text of String. To publish public keys, use [KeySet.JWKS].
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

// kind is the type of key that an algorithm requires.
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

// methodFor returns the method of the algorithm for a key of that kind. It also checks the ID.
func (a Algorithm) methodFor(k kind, id string) (method, error) {
	m, err := a.method()
	switch {
	case err != nil:
		return method{}, err
	case m.kind != k:
		return method{}, fmt.Errorf("jose: the type of the key does not fit %s", a)
	case !isIdentifier(id):
		return method{}, errors.New("jose: invalid key ID (1 to 255 bytes of UTF-8 without control characters)")
	}
	return m, nil
}
