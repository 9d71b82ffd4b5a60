package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

var errPublicHalf = errors.New("jose: private key is incomplete, or its public half belongs to another key")

// private returns the private key and its public half, and checks that they belong together. With
// another public half, no verifier accepts the signatures. With Ed25519, two such signatures even
// reveal the private key.
func private(key crypto.Signer) (crypto.Signer, crypto.PublicKey, error) {
	switch p := key.(type) {
	case *rsa.PrivateKey:
		if p == nil || p.N == nil || p.D == nil || slices.Contains(p.Primes, nil) || p.Validate() != nil {
			return nil, nil, errPublicHalf
		}
		return p, &p.PublicKey, nil
	case *ecdsa.PrivateKey:
		//lint:ignore SA1019 Bytes panics if they are nil
		if p == nil || p.Curve == nil || p.D == nil || p.X == nil || p.Y == nil {
			return nil, nil, errPublicHalf
		}
		scalar, err := p.Bytes()
		if err != nil {
			return nil, nil, errPublicHalf
		}
		again, err := ecdsa.ParseRawPrivateKey(p.Curve, scalar)
		if err != nil || !again.PublicKey.Equal(&p.PublicKey) {
			return nil, nil, errPublicHalf
		}
		return again, &again.PublicKey, nil
	case ed25519.PrivateKey:
		if len(p) != ed25519.PrivateKeySize {
			return nil, nil, errPublicHalf
		}
		again := ed25519.NewKeyFromSeed(p.Seed())
		if !bytes.Equal(again, p) {
			return nil, nil, errPublicHalf
		}
		return again, again.Public(), nil
	}
	return nil, nil, fmt.Errorf("jose: unsupported private key type %T (*rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey)", key)
}

// Limits for RSA keys. The cost of a verification grows with the square of the modulus and with the
// length of the exponent, and anyone can cause a verification. Common software creates no keys with
// an exponent above 65537.
const (
	maxRSA      = 8192
	maxExponent = 65537
)

// public returns a copy of a public key, or an error if it does not fit the method.
func (m method) public(key crypto.PublicKey) (crypto.PublicKey, error) {
	switch p := key.(type) {
	case *rsa.PublicKey:
		switch {
		case p == nil || p.N == nil || p.N.Sign() <= 0 || p.N.Bit(0) == 0:
			return nil, errors.New("jose: RSA key has no valid modulus")
		case p.N.BitLen() < 2048 || p.N.BitLen() > maxRSA:
			return nil, fmt.Errorf("jose: RSA key of %d bits out of range (2048 to 8192)", p.N.BitLen())
		case p.E < 3 || p.E&1 == 0 || p.E > maxExponent:
			return nil, errors.New("jose: RSA exponent out of range (odd, 3 to 65537)")
		}
		return &rsa.PublicKey{N: new(big.Int).Set(p.N), E: p.E}, nil
	case *ecdsa.PublicKey:
		//lint:ignore SA1019 Bytes panics if they are nil
		if p == nil || p.Curve != m.curve || p.X == nil || p.Y == nil {
			return nil, errors.New("jose: EC key is not on the algorithm's curve")
		}
		point, err := p.Bytes()
		if err != nil {
			return nil, errors.New("jose: EC key is not a point on its curve")
		}
		again, err := ecdsa.ParseUncompressedPublicKey(m.curve, point)
		if err != nil { // not on the curve
			return nil, errors.New("jose: EC key is not a point on its curve")
		}
		return again, nil
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize || smallOrder(p) {
			return nil, errors.New("jose: Ed25519 key has the wrong length or a small order")
		}
		return slices.Clone(p), nil
	}
	return nil, fmt.Errorf("jose: unsupported public key type %T (*rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey)", key)
}

// equal reports whether two keys are the same, including ID and algorithm.
func (k *Key) equal(other *Key) bool {
	if k.id != other.id || k.alg != other.alg || k.issuer != other.issuer {
		return false
	}
	if k.secret != nil || other.secret != nil {
		return k.secret != nil && other.secret != nil && subtle.ConstantTimeCompare(k.secret.key, other.secret.key) == 1
	}
	p, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && p.Equal(other.public)
}

// smallOrder reports whether p is a point of order 8 or less, in any encoding. The holder of such a
// key can create signatures that are valid for any message.
func smallOrder(p ed25519.PublicKey) bool {
	for _, y := range [...]string{
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
		"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
		"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"\xed\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"\xee\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
	} {
		if string(p[:31]) == y[:31] && p[31]&0x7f == y[31] {
			return true
		}
	}
	return false
}
