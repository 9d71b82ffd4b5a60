package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// ParseJWKS parses the public keys of a JWK Set for the allowed algorithms; nil allows all except
// HMAC. Use it for sets of issuers that you configured. For keys that a caller sends, use
// [ParseOfferedJWKS].
//
// A key that names no algorithm is used for the one allowed algorithm that fits it. ParseJWKS skips
// a key without an ID, and a key whose "use" or "key_ops" excludes verification. It also skips a
// key if its type is not supported, or if several algorithms fit. Names are case-sensitive, and
// private members are ignored. A key with the member "issuer" verifies only tokens of that issuer
// (see [Key.Issuer]).
//
// It returns an error if the set as a whole cannot be parsed, has more than 64 keys, or has a key
// ID twice.
func ParseJWKS(data []byte, allowed ...Algorithm) ([]*Key, error) {
	return parseJWKS(data, known, "", allowed)
}

// ParseOfferedJWKS is [ParseJWKS] for keys that come with a request, such as the keys of a client
// that registers itself (RFC 7591). The limits are stricter, because the sender of a key chooses
// the cost of a verification:
//   - RSA keys have 2048 to 4096 bits and the exponent 65537
//   - EC keys are on P-256 or P-384, or on P-521 if allowed holds ES512
//   - the set has at most 8 keys
//   - a private key in the set is an error
func ParseOfferedJWKS(data []byte, allowed ...Algorithm) ([]*Key, error) {
	if allowed == nil {
		allowed = []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA}
	}
	return parseJWKS(data, offered, "", allowed)
}

// OfferedKey is [ParseOfferedJWKS] for keys with that ID only; it does not decode other keys. An
// empty ID means all keys. If allowed is empty, all algorithms except HMAC are allowed, including
// ES512.
func OfferedKey(data []byte, id string, allowed ...Algorithm) ([]*Key, error) {
	return parseJWKS(data, offered, id, allowed)
}

// bounds are the limits for the keys of a set.
type bounds struct{ keys, bits, exponent int }

var (
	known   = bounds{keys: 64, bits: maxRSA, exponent: maxExponent}
	offered = bounds{keys: 8, bits: 4096, exponent: 65537}
)

func parseJWKS(data []byte, most bounds, id string, allowed []Algorithm) ([]*Key, error) {
	set, err := scanObject(data, maxMembers)
	if err != nil {
		return nil, errors.New("jose: parse JWK Set: malformed JSON")
	}
	raw, _ := Claims{members: set}.Get("keys")
	all, ok := elements(raw, most.keys)
	if !ok {
		return nil, fmt.Errorf("jose: parse JWK Set: no list of keys, or more than %d", most.keys)
	}
	if allowed == nil {
		allowed = []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA}
	}
	var keys []*Key
	for _, raw := range all {
		if id != "" && bytes.IndexByte(raw, '\\') < 0 && !bytes.Contains(raw, []byte(`"`+id+`"`)) {
			continue
		}
		j, private, ok := parseJWK(raw)
		if private && most == offered {
			return nil, errors.New("jose: parse JWK Set: the set holds a private key (send only public keys)")
		}
		if !ok || id != "" && j.Kid != id || j.Use != "" && j.Use != "sig" || j.Ops != nil && !slices.Contains(j.Ops, "verify") {
			continue
		}
		k, err := j.key(most, allowed)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(keys, func(other *Key) bool { return other.id == k.id }) {
			return nil, errors.New("jose: parse JWK Set: duplicate key ID")
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// parseJWK parses the members of a JWK that this package uses. ok is false if one of them has the
// wrong type. private reports whether the JWK has a member that must be secret.
func parseJWK(raw []byte) (j jwk, private, ok bool) {
	members, err := scanObject(raw, maxMembers)
	if err != nil {
		return jwk{}, false, false
	}
	texts := map[string]*string{"crv": &j.Crv, "e": &j.E, "kty": &j.Kty, "n": &j.N, "x": &j.X, "y": &j.Y, "kid": &j.Kid, "alg": &j.Alg, "use": &j.Use, "issuer": &j.Issuer}
	for _, m := range members {
		private = private || slices.Contains(privateMembers, string(m.name))
	}
	for _, m := range members {
		if to := texts[string(m.name)]; to != nil {
			if *to, ok = textOf(m.value); !ok || to == &j.Issuer && *to == "" {
				return jwk{}, private, false
			}
		}
		if string(m.name) == "key_ops" {
			if j.Ops, ok = list(m.value); !ok {
				return jwk{}, private, false
			}
			j.Ops = append([]string{}, j.Ops...) // not nil if present and empty
		}
	}
	return j, private, true
}

// privateMembers are the secret members of a JWK (RFC 7518, section 6).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

func (j jwk) key(most bounds, allowed []Algorithm) (*Key, error) {
	public, err := j.public(most)
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
		return nil, errors.New("jose: not exactly one allowed algorithm fits the key")
	}
	fits[0].issuer = j.Issuer
	return fits[0], nil
}

// public returns the key if it is within the limits. It does not compute with a larger one.
func (j jwk) public(most bounds) (crypto.PublicKey, error) {
	switch j.Kty {
	case "RSA":
		n, err := number(j.N, most.bits)
		if err != nil {
			return nil, err
		}
		e, err := number(j.E, 31)
		if err != nil || e.Int64() > int64(most.exponent) || most == offered && e.Int64() != int64(most.exponent) {
			return nil, errJWK
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Crv]
		if curve == nil {
			return nil, errJWK
		}
		size := (curve.Params().BitSize + 7) / 8
		if n := base64.RawURLEncoding.EncodedLen(size); len(j.X) != n || len(j.Y) != n {
			return nil, errJWK
		}
		x, errX := unbase64(j.X)
		y, errY := unbase64(j.Y)
		if errX != nil || errY != nil {
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

// unbase64 decodes base64url and accepts only its canonical spelling.
func unbase64(text string) ([]byte, error) {
	b, _, err := decode(nil, []byte(text))
	return b, err
}

var errJWK = errors.New("jose: malformed JWK")

// number decodes a Base64urlUInt (RFC 7518, section 2) without leading zeros and with at most most
// bits.
func number(text string, most int) (*big.Int, error) {
	if len(text) > base64.RawURLEncoding.EncodedLen((most+7)/8) {
		return nil, errJWK
	}
	b, err := unbase64(text)
	if err != nil || len(b) == 0 || b[0] == 0 {
		return nil, errJWK
	}
	n := new(big.Int).SetBytes(b)
	if n.BitLen() > most {
		return nil, errJWK
	}
	return n, nil
}
