package jose

import (
	"slices"
	"strings"
)

// Embedded is a decoded token that carries the public key it is signed with. Anybody can make
// one. Until Verify returned nil, its claims and its key are only what the sender says.
type Embedded struct {
	Claims     Claims
	Thumbprint string // of the key (RFC 7638)

	token *Token
	key   *Key
}

// DecodeEmbedded decodes a proof of possession (RFC 9449 section 4.3), a token with a public
// key in its header ("jwk"), and verifies no signature. Check the claims and the thumbprint
// first, then call Verify: a signature is the most expensive check, and the sender chose the
// key. Everywhere else a token with a key in its header is refused.
//
// "typ" must be typ, and "alg" one of allowed, which fits the key and is none of a secret. The
// key holds nothing private and is within the bounds of ParseOfferedJWKS; they are checked
// before any arithmetic with it. The error is an ErrInvalid.
func DecodeEmbedded(token, typ string, allowed ...Algorithm) (*Embedded, error) {
	var raw []byte
	t, payload, err := parse(token, &raw)
	if err != nil {
		return nil, err
	}
	switch {
	case typ == "" || !strings.EqualFold(t.Header.Type, typ):
		return nil, invalid("another type")
	case !slices.Contains(allowed, t.Header.Algorithm):
		return nil, invalid("an algorithm that is not allowed")
	case raw == nil:
		return nil, invalid("no jwk in the header")
	}
	e := &Embedded{token: t}
	if e.Claims, err = ParseClaims(payload); err != nil {
		return nil, err
	}
	if e.key, err = embedded(raw, t.Header.Algorithm); err != nil {
		return nil, err
	}
	if e.Thumbprint, err = Thumbprint(e.key.public); err != nil {
		return nil, invalid("a key without a thumbprint")
	}
	return e, nil
}

// Verify checks the signature by the token's own key. It proves that the sender holds that key,
// not who the sender is. The error is an ErrInvalid.
func (e *Embedded) Verify() error {
	if !e.key.verify(e.token.signed, e.token.signature) {
		return invalid("wrong signature")
	}
	return nil
}

// embedded reads a header's key for the header's algorithm.
func embedded(raw []byte, alg Algorithm) (*Key, error) {
	j, private, ok := parseJWK(raw)
	switch {
	case private:
		return nil, invalid("a private key in the header")
	case !ok:
		return nil, invalid("a jwk that cannot be read")
	case j.Alg != "" && j.Alg != string(alg) || j.Use != "" && j.Use != "sig" || j.Ops != nil && !slices.Contains(j.Ops, "verify"):
		return nil, invalid("a jwk for something else")
	}
	public, err := j.public(offered)
	if err != nil {
		return nil, invalid("a jwk that is no public key, or too large")
	}
	k, err := NewPublic("jwk", alg, public)
	if err != nil {
		return nil, invalid("a jwk that does not fit the algorithm")
	}
	return k, nil
}
