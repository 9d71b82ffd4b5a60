package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// jwk is a public key of RFC 7517, 7518 section 6 and 8037; the members in the order
// of RFC 7638 come first.
type jwk struct {
	Crv string   `json:"crv,omitempty"`
	E   string   `json:"e,omitempty"`
	Kty string   `json:"kty"`
	N   string   `json:"n,omitempty"`
	X   string   `json:"x,omitempty"`
	Y   string   `json:"y,omitempty"`
	Kid string   `json:"kid,omitempty"`
	Alg string   `json:"alg,omitempty"`
	Use string   `json:"use,omitempty"`
	Ops []string `json:"key_ops,omitempty"`
}

func newJWK(public crypto.PublicKey) (jwk, error) {
	enc := base64.RawURLEncoding.EncodeToString
	switch p := public.(type) {
	case *rsa.PublicKey:
		return jwk{Kty: "RSA", N: enc(p.N.Bytes()), E: enc(big.NewInt(int64(p.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 4 ‖ x ‖ y
		if err != nil {
			return jwk{}, fmt.Errorf("jose: %w", err)
		}
		half := len(point) / 2
		return jwk{Kty: "EC", Crv: p.Curve.Params().Name, X: enc(point[1 : 1+half]), Y: enc(point[1+half:])}, nil
	case ed25519.PublicKey:
		return jwk{Kty: "OKP", Crv: "Ed25519", X: enc(p)}, nil
	}
	return jwk{}, fmt.Errorf("jose: a public key of type %T", public)
}

// Thumbprint returns the base64url of a public key's SHA-256 thumbprint (RFC 7638).
func Thumbprint(public crypto.PublicKey) (string, error) {
	j, err := newJWK(public)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(j) // the needed members alone, in order, without blanks
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

func marshalJWKS(list []*Key) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{[]jwk{}}
	for _, k := range list {
		if k.public == nil {
			continue
		}
		j, err := newJWK(k.public)
		if err != nil {
			return nil, err
		}
		j.Kid, j.Alg, j.Use = k.id, string(k.alg), "sig"
		set.Keys = append(set.Keys, j)
	}
	return json.Marshal(set)
}

// maxKeys bounds a JWK Set.
const maxKeys = 64

// ParseJWKS reads the public keys of a JWK Set, for algorithms that are allowed; nil
// allows all but those of secrets. A key that names no algorithm serves for the one
// that is allowed and fits it; where several do it is left out, and so is a key of
// another kind or use, without ID, or of a kind that is not known. Private members
// are ignored. The error says that the set as a whole can not be read.
func ParseJWKS(data []byte, allowed ...Algorithm) ([]*Key, error) {
	if _, err := scanObject(data); err != nil {
		return nil, errors.New("jose: a JWK Set that is not strict JSON")
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(data, &set); err != nil || set.Keys == nil {
		return nil, errors.New("jose: no JWK Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("jose: a JWK Set of %d keys: want at most %d", len(set.Keys), maxKeys)
	}
	if allowed == nil {
		allowed = []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA}
	}
	var list []*Key
	for _, raw := range set.Keys {
		var j jwk
		if json.Unmarshal(raw, &j) != nil || j.Use != "" && j.Use != "sig" || j.Ops != nil && !slices.Contains(j.Ops, "verify") {
			continue
		}
		k, err := j.key(allowed)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(list, func(other *Key) bool { return other.id == k.id }) {
			return nil, fmt.Errorf("jose: a JWK Set with a key ID that comes twice")
		}
		list = append(list, k)
	}
	return list, nil
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
		x, errX := canonical.DecodeString(j.X)
		y, errY := canonical.DecodeString(j.Y)
		if curve == nil || errX != nil || errY != nil {
			return nil, errJWK
		}
		if size := (curve.Params().BitSize + 7) / 8; len(x) != size || len(y) != size {
			return nil, errJWK
		}
		return ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	case "OKP":
		x, err := canonical.DecodeString(j.X)
		if j.Crv != "Ed25519" || err != nil || len(x) != ed25519.PublicKeySize {
			return nil, errJWK
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errJWK
}

var errJWK = errors.New("jose: a JWK that can not be read")

// number reads a Base64urlUInt of RFC 7518 section 2, without leading zeros.
func number(text string) (*big.Int, error) {
	b, err := canonical.DecodeString(text)
	if err != nil || len(b) == 0 || b[0] == 0 {
		return nil, errJWK
	}
	return new(big.Int).SetBytes(b), nil
}
