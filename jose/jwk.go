package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
)

// jwk is a public key (RFC 7517; RFC 7518, section 6; RFC 8037). The members that RFC 7638 hashes
// come first, in its order.
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

	Issuer string `json:"-"` // of Entra ID; never published for keys of ours
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
	return jwk{}, fmt.Errorf("jose: unsupported public key type %T (*rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey)", public)
}

// Thumbprint returns the SHA-256 thumbprint of a public key (RFC 7638) in base64url. It returns an
// error for an unsupported type of key.
func Thumbprint(public crypto.PublicKey) (string, error) {
	j, err := newJWK(public)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(j) // only the required members, in order, without spaces
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
