package jose

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Registered are the registered claims of RFC 7519 section 4.1. A zero time is an
// absent one.
type Registered struct {
	Issuer, Subject, ID          string
	Audience                     []string
	Expires, NotBefore, IssuedAt time.Time
}

// Registered returns the registered claims that are there. The error is an
// ErrInvalid: one of them is of another type, or an identifier is empty, longer than
// 255 bytes or holds a control character.
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
		return "", invalid("%s is no identifier", name)
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

// MaxLeeway bounds Checks.Leeway.
const MaxLeeway = 5 * time.Minute

// Checks are what a token's registered claims must fulfil.
type Checks struct {
	// Issuer is "iss", byte for byte.
	Issuer string
	// Audience must be "aud" or one of it, byte for byte.
	Audience string
	// Leeway is how far clocks may differ.
	Leeway time.Duration
	// Clock is needed.
	Clock func() time.Time
	// NoID accepts tokens without "jti", for issuers that send none. Such a token cannot be
	// revoked by itself, and its replay cannot be detected. A "jti" of another type is refused.
	NoID bool
	// IgnoreExpiry accepts tokens that expired: for what has its own record of its
	// end.
	IgnoreExpiry bool
}

// Validate reports checks that would check nothing.
func (c Checks) Validate() error {
	switch {
	case !isIdentifier(c.Issuer) || !isIdentifier(c.Audience):
		return errors.New("an issuer and an audience are needed")
	case c.Leeway < 0 || c.Leeway > MaxLeeway:
		return fmt.Errorf("a leeway of %v: want 0 to %v", c.Leeway, MaxLeeway)
	case c.Clock == nil:
		return errors.New("a clock is needed")
	}
	return nil
}

// Check returns the registered claims where they fulfil the checks: "iss", "aud",
// "exp", "sub" and "jti" (unless NoID) are there; the token is refused from "exp" (with leeway) on,
// before "nbf", and where "iat" lies in the future or after "exp". The error is an
// ErrInvalid, and ErrExpired where that is the reason.
// Checks that Validate refuses let nothing pass: that is a plain error.
func (c Checks) Check(claims Claims) (Registered, error) {
	if err := c.Validate(); err != nil {
		return Registered{}, fmt.Errorf("jose: %w", err)
	}
	r, err := claims.Registered()
	if err != nil {
		return Registered{}, err
	}
	now := c.Clock()
	switch {
	case r.Issuer != c.Issuer:
		err = invalid("another issuer")
	case !slices.Contains(r.Audience, c.Audience):
		err = invalid("another audience")
	case r.Subject == "":
		err = invalid("no sub")
	case r.ID == "" && !c.NoID:
		err = invalid("no jti")
	case r.Expires.IsZero():
		err = invalid("no exp")
	case r.IssuedAt.After(r.Expires):
		err = invalid("issued after its expiry")
	case r.NotBefore.After(now.Add(c.Leeway)):
		err = invalid("not valid yet")
	case r.IssuedAt.After(now.Add(c.Leeway)):
		err = invalid("issued in the future")
	case !c.IgnoreExpiry && !now.Before(r.Expires.Add(c.Leeway)):
		err = ErrExpired
	}
	if err != nil {
		return Registered{}, err
	}
	return r, nil
}
