package jose

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Expected describes the tokens that [Token.VerifyAs] accepts.
type Expected struct {
	// Types are the accepted "typ" values; see [Verify].
	Types []string
	// Untyped also accepts a token without "typ"; see [Token.VerifyUntyped].
	Untyped bool
	// KeyIssuers are other names of the token's issuer. A key whose JWK names an issuer verifies
	// only tokens of that issuer (see [Key.Issuer]): the token's "iss" or one of these.
	KeyIssuers []string
}

// Verify verifies a token that [Decode] returned, in the same way as the function [Verify].
func (t *Token) Verify(ctx context.Context, src KeySource, types ...string) error {
	return t.VerifyAs(ctx, src, Expected{Types: types})
}

// VerifyUntyped is [Token.Verify] but also accepts a token without "typ". Use it for tokens that
// have no "typ" by their own RFC, such as the assertions of RFC 7523. The same keys MUST NOT sign
// other tokens without "typ", which would be accepted too.
func (t *Token) VerifyUntyped(ctx context.Context, src KeySource, types ...string) error {
	return t.VerifyAs(ctx, src, Expected{Types: types, Untyped: true})
}

// VerifyAs is [Token.Verify] with further conditions. It returns the same errors.
func (t *Token) VerifyAs(ctx context.Context, src KeySource, want Expected) error {
	ok := want.Untyped && t.Header.Type == ""
	for _, typ := range want.Types {
		ok = ok || typ != "" && strings.EqualFold(t.Header.Type, typ)
	}
	if !ok {
		return invalid("wrong typ")
	}
	return t.verify(ctx, src, want.KeyIssuers)
}

func (t *Token) verify(ctx context.Context, src KeySource, issuers []string) error {
	if src == nil {
		return errors.New("jose: Verify: the key source is nil")
	}
	candidates, err := src.Keys(ctx, t.Header.KeyID, t.Header.Algorithm)
	if err != nil {
		return err
	}
	switch {
	case len(candidates) == 0:
		return invalid("unknown key")
	case len(candidates) > 1 && t.Header.KeyID == "":
		return invalid("no kid, and several keys have the algorithm")
	}
	for _, k := range candidates {
		// Do not rely on the source to have compared ID and algorithm.
		if k == nil || k.alg != t.Header.Algorithm || k.id != t.Header.KeyID && t.Header.KeyID != "" {
			continue
		}
		if k.issuer != "" && !t.issuedBy(k.issuer, issuers) {
			return invalid("the key belongs to another issuer")
		}
		if k.verify(t.signed, t.signature) {
			return nil
		}
	}
	return invalid("wrong signature")
}

// issuedBy reports whether a key of that issuer can have signed the token.
func (t *Token) issuedBy(issuer string, others []string) bool {
	iss, ok := t.Claims.Text("iss")
	return ok && issuerMatches(issuer, iss) || slices.ContainsFunc(others, func(other string) bool { return issuerMatches(issuer, other) })
}

// issuerMatches compares the issuer of a key with the issuer of a token. In the issuer of a key,
// "{tenantid}" stands for one segment of the path.
func issuerMatches(pattern, issuer string) bool {
	before, after, ok := strings.Cut(pattern, "{tenantid}")
	if !ok {
		return pattern == issuer
	}
	rest, ok := strings.CutPrefix(issuer, before)
	tenant, ok2 := strings.CutSuffix(rest, after)
	return ok && ok2 && tenant != "" && !strings.ContainsAny(tenant, "/?#{}")
}
