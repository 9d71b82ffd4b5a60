// Package syntax checks the small grammars that OAuth 2.0 and its extensions share: scopes, code
// verifiers, digests and URLs. It imports only the standard library, so that every OAuth 2.0
// package can use it.
package syntax

import (
	"encoding/base64"
	"net/netip"
)

// IsScope reports whether s is a scope-token of RFC 6749, section 3.3.
func IsScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// IsVerifier reports whether v is a code_verifier: 43 to 128 unreserved characters (RFC 7636,
// section 4.1).
func IsVerifier(v string) bool {
	if len(v) < 43 || len(v) > 128 {
		return false
	}
	for i := range len(v) {
		if !unreserved(v[i]) {
			return false
		}
	}
	return true
}

// IsSHA256 reports whether text is a SHA-256 digest in unpadded canonical base64url, such as a
// code_challenge of S256 or the thumbprint of a key.
func IsSHA256(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == 32 && len(text) == 43
}

// IsLoopback reports whether host is localhost or a loopback address.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// unreserved reports whether c is an unreserved character of RFC 3986, section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
