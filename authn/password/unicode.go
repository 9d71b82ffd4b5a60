package password

import (
	"context"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The same password can be typed composed or decomposed: é is one code point with one keyboard and
// two with another. New passwords are hashed in NFC (RFC 8265, section 4.2). A password is verified
// as typed first, because its hash may be older, and then in NFC if that differs. NFKC would make
// full-width letters equal to ordinary ones, which are different passwords.

// normal returns the form in which a new password is hashed.
func (c *Checker) normal(password string) string {
	if c.opts.Verbatim || !utf8.ValidString(password) {
		return password
	}
	return norm.NFC.String(password)
}

// forms returns the forms in which a typed password may have been hashed: one or two. The number
// depends only on the password, not on the account.
func (c *Checker) forms(password string) []string {
	if n := c.normal(password); n != password {
		return []string{password, n}
	}
	return []string{password}
}

// longest returns the length of the longest form of a password, in bytes.
func (c *Checker) longest(password string) int {
	if c.opts.Verbatim || !utf8.ValidString(password) {
		return len(password)
	}
	return max(len(password), len(norm.NFD.String(password)), len(norm.NFC.String(password)))
}

// match reports whether a form of the password matches the account in v, and records the work in v.
// Each form waits for a slot of its own. If the login fails anyway, match computes all forms.
func (c *Checker) match(ctx context.Context, a caller, password string, v *verdict) (ok bool, err error) {
	forms := c.forms(password)
	for i, form := range forms {
		joined := c.opts.Clock()
		release, err := c.hasher.enter(ctx, a)
		if err != nil {
			return false, err
		}
		v.hashed = true
		v.waited += c.opts.Clock().Sub(joined)
		ok, outdated := func() (bool, bool) {
			defer release()
			return c.hasher.verify(ctx, v.user.Password, form)
		}()
		if ok && v.reason == nil {
			v.outdated = outdated || i < len(forms)-1 // the hash is of the typed form, not of NFC
			return true, nil
		}
	}
	return false, nil
}

// floor returns the minimum time of a failed login: twice the slowest hash, because it may compute
// two.
func (c *Checker) floor() time.Duration {
	if c.opts.FailureFloor > 0 {
		return c.opts.FailureFloor
	}
	return max(500*time.Millisecond, 2*c.hasher.cost())
}
