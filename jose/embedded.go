package jose

import (
	"slices"
	"strings"
)

// Embedded is a decoded token that carries the public key for its signature. Anyone can create one,
// so do not trust its claims or key until [Embedded.Verify] returned nil.
type Embedded struct {
	Claims     Claims
	Thumbprint string // of the key (RFC 7638)

	token *Token
	key   *Key
}

// DecodeEmbedded decodes a token with a public key in its header ("jwk"), such as a DPoP proof (RFC
// 9449, section 4.3). It does not verify the signature. Check the claims and the thumbprint first
// and then call [Embedded.Verify]: the signature is the most expensive check, and the sender chose
// the key. All other functions reject a token with a key in its header.
//
// "typ" must equal typ without regard to case. "alg" must be one of allowed, fit the key and not be
// an HMAC algorithm. The key must hold no private part and be within the limits of
// [ParseOfferedJWKS], which are checked before any arithmetic. Every error is an [ErrInvalid].
func DecodeEmbedded(token, typ string, allowed ...Algorithm) (*Embedded, error) {
	var raw []byte
	t, payload, err := parse(token, false, &raw)
	if err != nil {
		return nil, err
	}
	switch {
	case typ == "" || !strings.EqualFold(t.Header.Type, typ):
		return nil, invalid("wrong typ")
	case !slices.Contains(allowed, t.Header.Algorithm):
		return nil, invalid("algorithm is not allowed")
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
		return nil, invalid("jwk has no thumbprint")
	}
	return e, nil
}

// Verify checks the signature with the token's own key. It proves that the sender holds the private
// key, but not who the sender is. The error is an [ErrInvalid].
func (e *Embedded) Verify() error {
	if !e.key.verify(e.token.signed, e.token.signature) {
		return invalid("wrong signature")
	}
	return nil
}

// embedded parses the key of a header for the algorithm of the header.
func embedded(raw []byte, alg Algorithm) (*Key, error) {
	j, private, ok := parseJWK(raw)
	switch {
	case private:
		return nil, invalid("jwk is a private key")
	case !ok:
		return nil, invalid("jwk is malformed")
	case j.Alg != "" && j.Alg != string(alg) || j.Use != "" && j.Use != "sig" || j.Ops != nil && !slices.Contains(j.Ops, "verify"):
		return nil, invalid("jwk is for another alg, use or key_ops")
	}
	public, err := j.public(offered)
	if err != nil {
		return nil, invalid("jwk is not a public key, or is too large")
	}
	k, err := NewPublic("jwk", alg, public)
	if err != nil {
		return nil, invalid("jwk does not fit the algorithm")
	}
	return k, nil
}
