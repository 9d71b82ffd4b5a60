package password

import (
	"context"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A password may come composed or decomposed: é is one code point on one keyboard and two on
// another. New passwords are hashed in NFC (RFC 8265, section 4.2). One is verified as it was
// typed first, since it may have been hashed so, and then in NFC if that differs. NFKC would let
// full-width letters match plain ones, which are other passwords.

// normal returns the form in which a new password is hashed.
func (c *Checker) normal(password string) string {
	if c.opts.Verbatim || !utf8.ValidString(password) {
		return password
	}
	return norm.NFC.String(password)
}

// forms returns what a typed password may have been hashed as: one form, or two. The number
// depends on the password alone, and not on the account.
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

// match reports whether a form of the password is that of v's account, and notes in v what it took.
// Each form waits for a slot of its own. Where the login fails anyway, all forms are computed.
func (c *Checker) match(ctx context.Context, a asker, password string, v *verdict) (ok bool, err error) {
	forms := c.forms(password)
	for i, form := range forms {
		joined := c.opts.Clock()
		release, err := c.hasher.queue.enter(ctx, a)
		if err != nil {
			return false, err
		}
		v.hashed = true
		v.waited += c.opts.Clock().Sub(joined)
		ok, outdated := func() (bool, bool) {
			defer release()
			return c.hasher.verify(v.user.Password, form)
		}()
		if ok && v.reason == nil {
			v.outdated = outdated || i < len(forms)-1 // hashed as typed, and not in NFC
			return true, nil
		}
	}
	return false, nil
}

// floor is how long a failed login takes at least: twice the dearest hash, since it may compute two.
func (c *Checker) floor() time.Duration {
	if c.opts.FailureFloor > 0 {
		return c.opts.FailureFloor
	}
	return max(500*time.Millisecond, 2*c.hasher.cost())
}
