package jose

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// KeySource finds the keys that may have signed a token. One source belongs to one
// issuer and one kind of token.
type KeySource interface {
	// Keys returns the key with that ID and algorithm; where kid is "", all of the
	// algorithm, of which there must be one. None: the key is not known. An error
	// means that this could not be told. A source whose keys change implements Versioned too, if
	// what they verified may be kept.
	Keys(ctx context.Context, kid string, alg Algorithm) ([]*Key, error)
}

// KeySet is a fixed set of keys of which the first signs. It is read-only and safe for
// concurrent use.
type KeySet struct {
	keys []*Key
	byID map[string][]*Key
	byAl map[Algorithm][]*Key
}

// NewKeySet makes a ring. Its keys have different IDs.
func NewKeySet(list ...*Key) (*KeySet, error) {
	if len(list) == 0 {
		return nil, errors.New("jose: a ring of no key")
	}
	return newRing(list)
}

func newRing(list []*Key) (*KeySet, error) {
	r := &KeySet{byID: make(map[string][]*Key), byAl: make(map[Algorithm][]*Key)}
	for _, k := range list {
		if k == nil {
			return nil, errors.New("jose: a nil key")
		}
		if r.byID[k.id] != nil {
			return nil, fmt.Errorf("jose: key ID %s comes twice", k.id)
		}
		r.keys = append(r.keys, k)
		r.byID[k.id] = []*Key{k}
		r.byAl[k.alg] = append(r.byAl[k.alg], k)
	}
	return r, nil
}

// Keys implements KeySource.
func (r *KeySet) Keys(_ context.Context, kid string, alg Algorithm) ([]*Key, error) {
	if kid == "" {
		return r.byAl[alg], nil
	}
	if list := r.byID[kid]; list != nil && list[0].alg == alg {
		return list, nil
	}
	return nil, nil
}

// SigningAlgorithm returns the algorithm that Sign uses: that of the first key.
func (r *KeySet) SigningAlgorithm() Algorithm { return r.keys[0].alg }

// Sign makes a token of type typ with the ring's first key. claims is an object of
// JSON. What Decode would refuse is not signed: the error says why. So is it with a
// key that verifies only, and with a type that is not printable ASCII. An empty type
// is left out: no Verify takes such a token.
func (r *KeySet) Sign(_ context.Context, typ string, claims []byte) (string, error) {
	return r.keys[0].token(typ, claims)
}

func (k *Key) token(typ string, claims []byte) (string, error) {
	if typ != "" && !isType(typ) {
		return "", errors.New("jose: a token's type is printable ASCII without blanks")
	}
	if _, err := ParseClaims(claims); err != nil {
		return "", fmt.Errorf("jose: claims that no verifier takes: %v", err) // no refusal of a token: not %w
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
		return "", fmt.Errorf("jose: a token of %d bytes: no verifier takes more than %d", len(token), MaxToken)
	}
	return token, nil
}

// JWKS returns the ring's public keys as a JWK Set (RFC 7517 section 5); secrets are
// not in it.
func (r *KeySet) JWKS(context.Context) ([]byte, error) { return marshalJWKS(r.keys) }

// Generation is 0: a ring does not change.
func (r *KeySet) Generation() uint64 { return 0 }

// String names the keys.
func (r *KeySet) String() string { return fmt.Sprint(r.keys) }

// GoString is String.
func (r *KeySet) GoString() string { return r.String() }
