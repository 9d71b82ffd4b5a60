package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// maxKeys bounds a JWK Set.
const maxKeys = 64

// ParseJWKS reads the public keys of a JWK Set, for algorithms that are allowed; nil
// allows all but those of secrets. A key that names no algorithm serves for the one
// that is allowed and fits it; where several do it is left out, and so is a key of
// another kind or use, without ID, or of a kind that is not known. Names count in
// their own case alone, and private members are ignored. The error says that the set
// as a whole can not be read.
func ParseJWKS(data []byte, allowed ...Algorithm) ([]*Key, error) {
	set, err := scanObject(data, maxMembers)
	if err != nil {
		return nil, errors.New("jose: a JWK Set that is not strict JSON")
	}
	raw, _ := Claims{members: set}.Get("keys")
	all, ok := elements(raw)
	if !ok {
		return nil, errors.New("jose: no JWK Set")
	}
	if len(all) > maxKeys {
		return nil, fmt.Errorf("jose: a JWK Set of %d keys: want at most %d", len(all), maxKeys)
	}
	if allowed == nil {
		allowed = []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA}
	}
	var keys []*Key
	for _, raw := range all {
		j, ok := parseJWK(raw)
		if !ok || j.Use != "" && j.Use != "sig" || j.Ops != nil && !slices.Contains(j.Ops, "verify") {
			continue
		}
		k, err := j.key(allowed)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(keys, func(other *Key) bool { return other.id == k.id }) {
			return nil, errors.New("jose: a JWK Set with a key ID that comes twice")
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// parseJWK reads the members of a JWK that matter; false where one of them is of
// another type.
func parseJWK(raw []byte) (j jwk, ok bool) {
	members, err := scanObject(raw, maxMembers)
	if err != nil {
		return jwk{}, false
	}
	texts := map[string]*string{"crv": &j.Crv, "e": &j.E, "kty": &j.Kty, "n": &j.N, "x": &j.X, "y": &j.Y, "kid": &j.Kid, "alg": &j.Alg, "use": &j.Use}
	for _, m := range members {
		if to := texts[string(m.name)]; to != nil {
			if *to, ok = textOf(m.value); !ok {
				return jwk{}, false
			}
		}
		if string(m.name) == "key_ops" {
			if j.Ops, ok = list(m.value); !ok {
				return jwk{}, false
			}
			j.Ops = append([]string{}, j.Ops...) // there, if empty
		}
	}
	return j, true
}

func (j jwk) key(allowed []Algorithm) (*Key, error) {
	public, err := j.public()
	if err != nil {
		return nil, err
	}
	var fits []*Key
	for _, alg := range allowed {
		if j.Alg != "" && j.Alg != string(alg) && (j.Alg != "Ed25519" || alg != EdDSA) {
			continue
		}
		if k, err := NewPublic(j.Kid, alg, public); err == nil {
			fits = append(fits, k)
		}
	}
	if len(fits) != 1 {
		return nil, errors.New("jose: no one algorithm fits the key")
	}
	return fits[0], nil
}

func (j jwk) public() (crypto.PublicKey, error) {
	switch j.Kty {
	case "RSA":
		n, err := number(j.N)
		if err != nil {
			return nil, err
		}
		e, err := number(j.E)
		if err != nil || e.BitLen() > 31 {
			return nil, errJWK
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Crv]
		x, errX := unbase64(j.X)
		y, errY := unbase64(j.Y)
		if curve == nil || errX != nil || errY != nil {
			return nil, errJWK
		}
		if size := (curve.Params().BitSize + 7) / 8; len(x) != size || len(y) != size {
			return nil, errJWK
		}
		return ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	case "OKP":
		x, err := unbase64(j.X)
		if j.Crv != "Ed25519" || err != nil || len(x) != ed25519.PublicKeySize {
			return nil, errJWK
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errJWK
}

// unbase64 decodes base64url in its one spelling.
func unbase64(text string) ([]byte, error) {
	b, _, err := decode(nil, []byte(text))
	return b, err
}

var errJWK = errors.New("jose: a JWK that can not be read")

// number reads a Base64urlUInt of RFC 7518 section 2, without leading zeros.
func number(text string) (*big.Int, error) {
	b, err := unbase64(text)
	if err != nil || len(b) == 0 || b[0] == 0 {
		return nil, errJWK
	}
	return new(big.Int).SetBytes(b), nil
}
