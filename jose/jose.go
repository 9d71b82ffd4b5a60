// Package jose signs and verifies JSON Web Tokens: compact JWS (RFC 7515) whose
// payload is a set of claims (RFC 7519), with keys in rings and in published sets
// (RFC 7517).
//
// The signatures are golang-jwt's. Its parser is not used: this package decodes
// strictly, so that no two readers of a token can see different things in it. A
// member name that comes twice or in another case ("SUB"), data after the end,
// base64url that has a second spelling, an unknown "crit", an algorithm that is not
// the key's: all are refused before anything is believed.
package jose

import (
	"errors"
	"fmt"
)

// ErrInvalid is wrapped by each refusal of a token. Any other error of this package
// means that it could not be decided (keys that cannot be fetched, for example).
// No error quotes a token.
var ErrInvalid = errors.New("invalid token")

// ErrExpired is the ErrInvalid of a token whose "exp" has passed.
var ErrExpired = fmt.Errorf("%w: expired", ErrInvalid)

// invalid makes an ErrInvalid with the reason, which goes to logs.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// Limits of what is decoded.
const (
	// MaxToken is the longest token, in bytes.
	MaxToken = 16 << 10
	// maxDepth is how deep objects and lists may be in each other.
	maxDepth = 16
	// maxMembers is how many members an object may have.
	maxMembers = 128
	// maxHeader is how many members a header may have.
	maxHeader = 32
	// maxID is the longest identifier ("jti", "sub", "kid", …), in bytes.
	maxID = 255
)
