package foreigntokens

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/jose"
)

// Keys are the keys of all issuers.
type Keys struct {
	rsa, otherRSA *rsa.PrivateKey
	ec, otherEC   *ecdsa.PrivateKey
	ed            ed25519.PrivateKey
}

// NewKeys returns new keys.
func NewKeys() (k *Keys, err error) {
	k = &Keys{}
	for _, to := range []**rsa.PrivateKey{&k.rsa, &k.otherRSA} {
		if *to, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, err
		}
	}
	for _, to := range []**ecdsa.PrivateKey{&k.ec, &k.otherEC} {
		if *to, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
	}
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	return k, err
}

// Token returns the token of a vector, signed with the algorithm of its header. A token for HS256
// is signed with the issuer's public key, and one for "none" has no signature.
func (k *Keys) Token(v *Vector) (string, error) { return k.Sign(v.Header, v.Claims, v.Options.Padded) }

// Sign returns a token with that header and those claims.
func (k *Keys) Sign(header, claims json.RawMessage, padded bool) (string, error) {
	var h struct{ Alg string }
	if err := json.Unmarshal(header, &h); err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	if padded {
		enc = base64.URLEncoding
	}
	var head, body bytes.Buffer
	if err := json.Compact(&head, header); err != nil {
		return "", err
	}
	if err := json.Compact(&body, claims); err != nil {
		return "", err
	}
	text := enc.EncodeToString(head.Bytes()) + "." + enc.EncodeToString(body.Bytes())
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	var err error
	switch h.Alg {
	case "RS256":
		sig, err = rsa.SignPKCS1v15(rand.Reader, k.rsa, crypto.SHA256, sum[:])
	case "ES256":
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, k.ec, sum[:]); err == nil {
			sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case "EdDSA":
		sig = ed25519.Sign(k.ed, []byte(text))
	case "HS256":
		public, err := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
		if err != nil {
			return "", err
		}
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(text))
		sig = mac.Sum(nil)
	case "none":
	default:
		err = fmt.Errorf("foreigntokens: algorithm %q", h.Alg)
	}
	return text + "." + enc.EncodeToString(sig), err
}

// JWKS returns the published keys of the issuer of a vector: the key that signs, another of the same
// algorithm, one of another algorithm, and one for encryption. The keys of Entra ID name an issuer.
func (k *Keys) JWKS(v *Vector) ([]byte, error) {
	kid := "k1"
	var h struct{ Kid string }
	if err := json.Unmarshal(v.Header, &h); err != nil {
		return nil, err
	}
	if h.Kid != "" {
		kid = h.Kid
	}
	b64 := base64.RawURLEncoding.EncodeToString
	ofRSA := func(kid string, p *rsa.PrivateKey) map[string]any {
		return map[string]any{"kty": "RSA", "kid": kid, "n": b64(p.N.Bytes()), "e": b64(big.NewInt(int64(p.E)).Bytes())}
	}
	ofEC := func(kid string, p *ecdsa.PrivateKey) (map[string]any, error) {
		point, err := p.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		return map[string]any{"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(point[1:33]), "y": b64(point[33:])}, nil
	}
	first, second := "k-rsa", "k-ec"
	switch v.Options.Algorithms[0] {
	case "RS256":
		first = kid
	case "ES256":
		second = kid
	}
	ec, err := ofEC(second, k.ec)
	if err != nil {
		return nil, err
	}
	otherEC, err := ofEC("k-ec-2", k.otherEC)
	if err != nil {
		return nil, err
	}
	list := []map[string]any{ofRSA("k-rsa-2", k.otherRSA), ofRSA(first, k.rsa), otherEC, ec, ofRSA("k-enc", k.otherRSA)}
	list[4]["use"] = "enc"
	if v.Options.Algorithms[0] == "EdDSA" {
		list = append(list, map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(k.ed.Public().(ed25519.PublicKey))})
	}
	if strings.HasPrefix(v.Issuer, "entra") {
		const personal = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
		list[0]["issuer"], list[1]["issuer"] = personal, "https://login.microsoftonline.com/{tenantid}/v2.0"
	}
	return json.Marshal(map[string]any{"keys": slices.Clip(list)})
}

// Source returns the keys of JWKS for the algorithms of the vector.
func (k *Keys) Source(v *Vector) (*jose.KeySet, error) {
	text, err := k.JWKS(v)
	if err != nil {
		return nil, err
	}
	list, err := jose.ParseJWKS(text, Algorithms(v)...)
	if err != nil {
		return nil, err
	}
	return jose.NewKeySet(list...)
}

// Algorithms returns the algorithms of the vector.
func Algorithms(v *Vector) (all []jose.Algorithm) {
	for _, a := range v.Options.Algorithms {
		all = append(all, jose.Algorithm(a))
	}
	return all
}
