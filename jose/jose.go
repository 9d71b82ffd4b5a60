// Package jose signs and verifies JSON Web Tokens: compact JWS (RFC 7515) with a set of claims as
// payload (RFC 7519). Keys come from fixed sets, from a store or from a published JWK Set (RFC
// 7517).
//
// Call [Verify] with a [KeySource] to verify a token, and [Checks.Check] to check its claims. A
// [KeySet] holds fixed keys, a [ReloadingKeySet] loads them from a store, and a [RemoteKeySet]
// fetches the keys of another issuer. The first two also sign.
//
// The signatures are computed by golang-jwt. Its parser is not used. This package decodes more
// strictly, so that two programs never read the same token in different ways. Before any claim is
// used, it rejects
//   - a JSON name that occurs twice or in another case ("SUB")
//   - data after the end of the JSON text
//   - base64url text that is not in its canonical form
//   - an unsupported header such as "crit"
//   - an algorithm other than the key's own
//
// The key formats, the key sources and the decoder are in one package because they share the list
// of accepted keys and algorithms.
package jose

import (
	"errors"
	"fmt"
)

// ErrInvalid is wrapped by every error that rejects a token. Any other error of this package means
// that the token could not be checked, for example because keys cannot be fetched. No error quotes
// a token.
var ErrInvalid = errors.New("invalid token")

// ErrExpired is the [ErrInvalid] for a token whose "exp" has passed.
var ErrExpired = fmt.Errorf("%w: expired", ErrInvalid)

// invalid returns an ErrInvalid with a reason for the log.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// Limits of the decoder.
const (
	// MaxToken is the maximum length of a token in bytes.
	MaxToken = 16 << 10
	// maxDepth is the maximum nesting of objects and lists.
	maxDepth = 16
	// maxMembers is the maximum number of members of an object.
	maxMembers = 128
	// maxHeader is the maximum number of members of a header.
	maxHeader = 32
	// maxID is the maximum length of an identifier ("jti", "sub", "kid", …) in bytes.
	maxID = 255
)
