package jose

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// KeySource finds the keys that may have signed a token. A source belongs to one issuer and one
// kind of token. It must be safe for concurrent use.
type KeySource interface {
	// Keys returns the key with that ID and algorithm. If kid is "", it returns all keys of the
	// algorithm; verification then requires exactly one. An empty result means that the key is
	// unknown. An error means that the source could not determine the keys. Implement [Versioned]
	// too if the keys can change and verified tokens may be cached.
	Keys(ctx context.Context, kid string, alg Algorithm) ([]*Key, error)
}

// KeySet is a fixed set of keys. The first key signs. It is read-only and safe for concurrent use.
type KeySet struct {
	keys []*Key
	byID map[string][]*Key
	byAl map[Algorithm][]*Key
}

// NewKeySet returns a set of the keys. It returns an error if there is no key, a nil key, or a key
// ID that occurs twice.
func NewKeySet(list ...*Key) (*KeySet, error) {
	if len(list) == 0 {
		return nil, errors.New("jose: NewKeySet: no key (at least one is required)")
	}
	return newRing(list)
}

func newRing(list []*Key) (*KeySet, error) {
	r := &KeySet{byID: make(map[string][]*Key), byAl: make(map[Algorithm][]*Key)}
	for _, k := range list {
		if k == nil {
			return nil, errors.New("jose: NewKeySet: a key is nil")
		}
		if r.byID[k.id] != nil {
			return nil, fmt.Errorf("jose: NewKeySet: duplicate key ID %q", k.id)
		}
		r.keys = append(r.keys, k)
		r.byID[k.id] = []*Key{k}
		r.byAl[k.alg] = append(r.byAl[k.alg], k)
	}
	return r, nil
}

// Keys implements [KeySource]. It never returns an error.
func (r *KeySet) Keys(_ context.Context, kid string, alg Algorithm) ([]*Key, error) {
	if kid == "" {
		return r.byAl[alg], nil
	}
	if list := r.byID[kid]; list != nil && list[0].alg == alg {
		return list, nil
	}
	return nil, nil
}

// SigningAlgorithm returns the algorithm with which Sign signs, which is the algorithm of the first
// key.
func (r *KeySet) SigningAlgorithm() Algorithm { return r.keys[0].alg }

// Sign returns a token of type typ, signed with the first key. claims is a JSON object. If typ is
// empty, the token has no "typ", and only [Token.VerifyUntyped] accepts it.
//
// It returns an error if the key cannot sign, or if typ is not printable ASCII. It also returns an
// error for a token that [Decode] would reject: longer than [MaxToken], or with claims that are not
// strict JSON.
func (r *KeySet) Sign(_ context.Context, typ string, claims []byte) (string, error) {
	return r.keys[0].token(typ, claims)
}

func (k *Key) token(typ string, claims []byte) (string, error) {
	if typ != "" && !isType(typ) {
		return "", errors.New("jose: Sign: invalid type (printable ASCII without spaces)")
	}
	if _, err := ParseClaims(claims); err != nil {
		return "", fmt.Errorf("jose: Sign: invalid claims: %v", err) // %v: this is not an ErrInvalid of a received token
	}
	header, err := json.Marshal(struct {
		Alg Algorithm `json:"alg"`
		Kid string    `json:"kid"`
		Typ string    `json:"typ,omitempty"`
	}{k.alg, k.id, typ})
	if err != nil {
		return "", err
	}
	b := base64.RawURLEncoding.AppendEncode(nil, header)
	b = base64.RawURLEncoding.AppendEncode(append(b, '.'), claims)
	signed := string(b)
	signature, err := k.sign(signed)
	if err != nil {
		return "", err
	}
	token := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	if len(token) > MaxToken {
		return "", fmt.Errorf("jose: Sign: token of %d bytes is too long (at most %d)", len(token), MaxToken)
	}
	return token, nil
}

// JWKS returns the public keys as a JWK Set (RFC 7517, section 5). HMAC secrets are not included.
func (r *KeySet) JWKS(context.Context) ([]byte, error) { return marshalJWKS(r.keys) }

// Generation returns 0, because the set does not change.
func (r *KeySet) Generation() uint64 { return 0 }

// String lists the IDs of the keys.
func (r *KeySet) String() string { return fmt.Sprint(r.keys) }

// GoString returns the same as String.
func (r *KeySet) GoString() string { return r.String() }
