package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
)

// signer signs JWTs with headers and claims of any kind, valid or not. It shares no code with the
// server.
type signer struct {
	id, alg string
	key     crypto.Signer
}

func newRSA(id, alg string) signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return signer{id, alg, key}
}

func newES256(id string) signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return signer{id, "ES256", key}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func encodeJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return encode(text)
}

// with returns the members of base with some changed; nil removes one.
func with(base, change map[string]any) map[string]any {
	all := maps.Clone(base)
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// sign returns a JWT. The key signs with its own algorithm unless the header names another one.
func (s signer) sign(header, claims map[string]any) string {
	signed := encodeJSON(header) + "." + encodeJSON(claims)
	sum := sha256.Sum256([]byte(signed))
	alg, _ := header["alg"].(string)
	var sig []byte
	var err error
	switch key := s.key.(type) {
	case *ecdsa.PrivateKey:
		var r, t *big.Int
		r, t, err = ecdsa.Sign(rand.Reader, key, sum[:])
		sig = append(r.FillBytes(make([]byte, 32)), t.FillBytes(make([]byte, 32))...)
	case *rsa.PrivateKey:
		if alg == "PS256" {
			sig, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		}
	}
	if err != nil {
		panic(err)
	}
	if alg == "none" {
		sig = nil
	}
	return signed + "." + encode(sig)
}

// jwk returns the public key as a JWK.
func (s signer) jwk() map[string]any {
	switch key := s.key.Public().(type) {
	case *ecdsa.PublicKey:
		raw, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		return map[string]any{"kty": "EC", "crv": "P-256", "x": encode(raw[1:33]), "y": encode(raw[33:])}
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())}
	}
	panic("another kind of key")
}

// thumbprint returns the thumbprint of the key (RFC 7638).
func (s signer) thumbprint() string {
	text, err := json.Marshal(s.jwk()) // sorted, and only required members
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(text)
	return encode(sum[:])
}

// set returns a JWK Set with the public key.
func (s signer) set() []byte {
	text, err := json.Marshal(map[string]any{"keys": []any{with(s.jwk(), map[string]any{"kid": s.id, "alg": s.alg, "use": "sig"})}})
	if err != nil {
		panic(err)
	}
	return text
}

// parts decodes a JWT without verifying it.
func parts(token string) (header, claims map[string]any, err error) {
	list := strings.Split(token, ".")
	if len(list) != 3 {
		return nil, nil, errors.New("not a JWT")
	}
	for i, to := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(list[i])
		if err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal(raw, to); err != nil {
			return nil, nil, err
		}
	}
	return header, claims, nil
}

// verify returns an error unless a key of the set signed the token.
func verify(token string, keys []map[string]any) error {
	header, _, err := parts(token)
	if err != nil {
		return err
	}
	last := strings.LastIndexByte(token, '.')
	sig, err := base64.RawURLEncoding.DecodeString(token[last+1:])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(token[:last]))
	for _, k := range keys {
		if k["kid"] != header["kid"] {
			continue
		}
		field := func(name string) *big.Int {
			text, _ := k[name].(string)
			raw, _ := base64.RawURLEncoding.DecodeString(text)
			return new(big.Int).SetBytes(raw)
		}
		public := &rsa.PublicKey{N: field("n"), E: int(field("e").Int64())}
		switch header["alg"] {
		case "RS256":
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], sig)
		case "PS256":
			return rsa.VerifyPSS(public, crypto.SHA256, sum[:], sig, nil)
		case "ES256":
			point := append(field("x").FillBytes(make([]byte, 33)), field("y").FillBytes(make([]byte, 32))...)
			point[0] = 4 // uncompressed (SEC 1, section 2.3.3)
			key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
			if err != nil {
				return err
			}
			if len(sig) == 64 && ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
				return nil
			}
			return errors.New("wrong signature")
		}
		return fmt.Errorf("algorithm %v", header["alg"])
	}
	return fmt.Errorf("no key %v", header["kid"])
}

// halfHash returns the "at_hash" of an access token for the algorithms of these tests.
func halfHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return encode(sum[:16])
}
