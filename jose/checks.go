package jose

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Registered holds the registered claims of RFC 7519, section 4.1. A zero value means that the
// claim is absent.
type Registered struct {
	Issuer, Subject, ID          string
	Audience                     []string
	Expires, NotBefore, IssuedAt time.Time
}

// Registered returns the registered claims of the payload. It returns an [ErrInvalid] if a claim
// has the wrong type. It does the same if "iss", "sub" or "jti" is empty, is longer than 255 bytes,
// or holds a control character.
func (c Claims) Registered() (r Registered, err error) {
	for _, m := range c.members {
		switch string(m.name) {
		case "iss":
			r.Issuer, err = identifier("iss", m.value)
		case "sub":
			r.Subject, err = identifier("sub", m.value)
		case "jti":
			r.ID, err = identifier("jti", m.value)
		case "aud":
			r.Audience, err = audience(m.value)
		case "exp":
			r.Expires, err = c.Time("exp")
		case "nbf":
			r.NotBefore, err = c.Time("nbf")
		case "iat":
			r.IssuedAt, err = c.Time("iat")
		}
		if err != nil {
			return Registered{}, err
		}
	}
	return r, nil
}

func identifier(name string, raw []byte) (string, error) {
	s, ok := textOf(raw)
	if !ok || !isIdentifier(s) {
		return "", invalid("%s is not an identifier (1 to 255 bytes, no control characters)", name)
	}
	return s, nil
}

func isIdentifier(s string) bool {
	return s != "" && len(s) <= maxID && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func audience(raw []byte) ([]string, error) {
	if s, ok := textOf(raw); ok {
		return []string{s}, nil
	}
	all, ok := list(raw)
	if !ok || len(all) == 0 {
		return nil, invalid("aud is neither a string nor a list of strings")
	}
	return all, nil
}

// MaxLeeway is the largest valid Checks.Leeway.
const MaxLeeway = 5 * time.Minute

// Checks are the requirements on a token's registered claims.
type Checks struct {
	// Issuer is the required "iss", compared byte by byte. It must be set.
	Issuer string
	// Audience is the required "aud", or a required member of it, compared byte by byte. It must be
	// set.
	Audience string
	// Leeway is the accepted difference between clocks, from 0 to MaxLeeway.
	Leeway time.Duration
	// Clock returns the current time. It must be set.
	Clock func() time.Time
	// NoID accepts tokens without "jti", for issuers that send none. Such a token cannot be revoked
	// individually, and its replay cannot be detected. A "jti" of the wrong type is rejected.
	NoID bool
	// IgnoreExpiry accepts expired tokens. Set it only if the caller has its own record of when the
	// token expires.
	IgnoreExpiry bool
}

// Validate returns an error if Issuer, Audience or Clock is missing, or Leeway is out of range.
func (c Checks) Validate() error {
	switch {
	case !isIdentifier(c.Issuer) || !isIdentifier(c.Audience):
		return errors.New("issuer and audience must be set (1 to 255 bytes, no control characters)")
	}
	return c.validTimes()
}

func (c Checks) validTimes() error {
	switch {
	case c.Leeway < 0 || c.Leeway > MaxLeeway:
		return fmt.Errorf("leeway %v out of range (0 to %v)", c.Leeway, MaxLeeway)
	case c.Clock == nil:
		return errors.New("clock must be set")
	}
	return nil
}

// Check returns the registered claims if they meet the requirements:
//   - "iss" and "aud" match
//   - "exp", "sub" and, unless NoID is set, "jti" are present
//   - the current time is before "exp" and not before "nbf", with Leeway
//   - "iat" is neither in the future, with Leeway, nor after "exp"
//
// It returns [ErrExpired] if the token has expired and no other check failed, and another
// [ErrInvalid] if a claim does not match. An error that is not an ErrInvalid means that
// [Checks.Validate] refuses the checks themselves.
func (c Checks) Check(claims Claims) (Registered, error) {
	if err := c.Validate(); err != nil {
		return Registered{}, fmt.Errorf("jose: %w", err)
	}
	r, err := claims.Registered()
	if err != nil {
		return Registered{}, err
	}
	switch {
	case r.Issuer != c.Issuer:
		err = invalid("wrong issuer")
	case !slices.Contains(r.Audience, c.Audience):
		err = invalid("wrong audience")
	case r.Subject == "":
		err = invalid("no sub")
	case r.ID == "" && !c.NoID:
		err = invalid("no jti")
	default:
		err = c.times(r)
	}
	if err != nil {
		return Registered{}, err
	}
	return r, nil
}

// CheckTimes is the part of [Checks.Check] for "exp", "nbf" and "iat". The result has only these.
// Use it for issuers whose other claims need rules of their own, and check those yourself: Issuer,
// Audience and NoID of c are not read.
func (c Checks) CheckTimes(claims Claims) (r Registered, err error) {
	if err := c.validTimes(); err != nil {
		return Registered{}, fmt.Errorf("jose: %w", err)
	}
	for _, x := range [...]struct {
		name string
		to   *time.Time
	}{{"exp", &r.Expires}, {"nbf", &r.NotBefore}, {"iat", &r.IssuedAt}} {
		if _, ok := claims.get(x.name); !ok {
			continue
		}
		if *x.to, err = claims.Time(x.name); err != nil {
			return Registered{}, err
		}
	}
	if err := c.times(r); err != nil {
		return Registered{}, err
	}
	return r, nil
}

func (c Checks) times(r Registered) error {
	now := c.Clock()
	switch {
	case r.Expires.IsZero():
		return invalid("no exp")
	case r.IssuedAt.After(r.Expires):
		return invalid("iat is after exp")
	case r.NotBefore.After(now.Add(c.Leeway)):
		return invalid("not valid yet (nbf)")
	case r.IssuedAt.After(now.Add(c.Leeway)):
		return invalid("iat is in the future")
	case !c.IgnoreExpiry && !now.Before(r.Expires.Add(c.Leeway)):
		return ErrExpired
	}
	return nil
}
