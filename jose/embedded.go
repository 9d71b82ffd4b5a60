package jose

import (
	"slices"
	"strings"
)

// VerifyEmbedded verifies a token by the public key in its own header ("jwk") and returns
// the key's thumbprint (RFC 7638). Whoever made it holds that key; who that is it does not
// say, since anybody has a key. It is for proofs of possession (RFC 9449 section 4.3) and
// for nothing else: everywhere else a token with a key in its header is refused.
//
// "typ" must be typ, and "alg" one of allowed, which fits the key and is none of a secret; the
// key holds nothing private. The claims are left to the caller. The error is an ErrInvalid.
func VerifyEmbedded(token, typ string, allowed ...Algorithm) (claims Claims, thumbprint string, err error) {
	var raw []byte
	t, payload, err := parse(token, &raw)
	if err != nil {
		return Claims{}, "", err
	}
	switch {
	case typ == "" || !strings.EqualFold(t.Header.Type, typ):
		return Claims{}, "", invalid("another type")
	case !slices.Contains(allowed, t.Header.Algorithm):
		return Claims{}, "", invalid("an algorithm that is not allowed")
	case raw == nil:
		return Claims{}, "", invalid("no jwk in the header")
	}
	key, err := embedded(raw, t.Header.Algorithm)
	if err != nil {
		return Claims{}, "", err
	}
	if !key.verify(t.signed, t.signature) {
		return Claims{}, "", invalid("wrong signature")
	}
	if claims, err = ParseClaims(payload); err != nil {
		return Claims{}, "", err
	}
	if thumbprint, err = Thumbprint(key.public); err != nil {
		return Claims{}, "", invalid("a key without a thumbprint")
	}
	return claims, thumbprint, nil
}

// embedded reads a header's key for the header's algorithm.
func embedded(raw []byte, alg Algorithm) (*Key, error) {
	members, err := scanObject(raw, maxMembers)
	if err != nil {
		return nil, invalid("a jwk that is not strict JSON")
	}
	for _, m := range members {
		if slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, string(m.name)) {
			return nil, invalid("a private key in the header")
		}
	}
	j, ok := parseJWK(raw)
	switch {
	case !ok:
		return nil, invalid("a jwk that can not be read")
	case j.Alg != "" && j.Alg != string(alg) || j.Use != "" && j.Use != "sig" || j.Ops != nil && !slices.Contains(j.Ops, "verify"):
		return nil, invalid("a jwk for something else")
	}
	public, err := j.public()
	if err != nil {
		return nil, invalid("a jwk that is no public key")
	}
	k, err := NewPublic("jwk", alg, public)
	if err != nil {
		return nil, invalid("a jwk that does not fit the algorithm")
	}
	return k, nil
}
