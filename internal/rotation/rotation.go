// Package rotation forwards to package credential/rotation.
//
// Deprecated: use credential/rotation. It stays until package oauth2 is converted.
package rotation

import (
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/storage"
)

// The names of package credential/rotation.
type (
	Rotator = rotation.Rotator
	Options = rotation.Options
	Use     = rotation.Use
	Mint    = rotation.Mint
	Result  = rotation.Result
)

// The rejections of package credential/rotation.
var (
	ErrUnknown  = rotation.ErrUnknown
	ErrExpired  = rotation.ErrExpired
	ErrEnded    = rotation.ErrRevoked
	ErrReused   = rotation.ErrReused
	ErrMismatch = rotation.ErrMismatch
	ErrTooMany  = rotation.ErrTooMany
)

// RetryAfter is rotation.RetryAfter.
const RetryAfter = rotation.RetryAfter

// MaxGrace is rotation.MaxGrace.
const MaxGrace = rotation.MaxGrace

// New is rotation.New.
func New(store storage.Families, o Options) (*Rotator, error) { return rotation.New(store, &o) }
