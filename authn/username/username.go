// Package username brings account names to one normal form, so that one account
// has one name however it is typed. Give Canonical to password.Options.
package username

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// Limits of a name.
const (
	MaxRunes = 150
	MaxBytes = 255
)

// ErrInvalid is what a name is told that has no normal form. Its text is for the
// user.
//
//lint:ignore ST1005 a sentence for the user
var ErrInvalid = errors.New("Enter a valid username. It may hold letters, digits and @ . + - _ only.")

// Canonical returns the normal form of a name, by the profile UsernameCaseMapped
// of RFC 8265: blanks at the ends are dropped, full-width forms become plain ones,
// letters become small, and the whole is NFC. The Greek final ς becomes σ besides,
// since the capital Σ does. Applied to its own result it changes nothing.
//
// It refuses names that are empty or too long, and those with blanks inside,
// controls, invisible characters (soft hyphen, zero width, direction marks),
// ligatures and other compatibility characters, mixed directions, or a dot at
// either end. Of ASCII it takes what Django takes: letters, digits and @ . + - _.
//
// The Turkish dotless ı stays itself, and the dotted İ becomes i with a second dot:
// both are other letters than i. The German ß is not ss. Letters of different
// scripts that look alike stay different: two such names are two accounts.
func Canonical(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > 4*MaxBytes || !utf8.ValidString(name) {
		return "", ErrInvalid
	}
	if usual(name) { // which is its own form
		return check(name)
	}
	for range 4 { // RFC 8265 section 3.5: until it is stable
		form, err := precis.UsernameCaseMapped.String(name)
		if err != nil {
			return "", ErrInvalid
		}
		form = strings.ReplaceAll(form, "ς", "σ")
		if form == name {
			return check(form)
		}
		name = form
	}
	return "", ErrInvalid
}

// usual reports whether name is of small ASCII letters, digits and signs that names may
// hold.
func usual(name string) bool {
	for i := range len(name) {
		if !plain(name[i]) {
			return false
		}
	}
	return true
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("@.+-_", c) >= 0
}

func check(name string) (string, error) {
	if len(name) > MaxBytes || utf8.RuneCountInString(name) > MaxRunes || name[0] == '.' || name[len(name)-1] == '.' {
		return "", ErrInvalid
	}
	for i := range len(name) {
		if c := name[i]; c < utf8.RuneSelf && !plain(c) {
			return "", ErrInvalid
		}
	}
	return name, nil
}

// ErrEmail is what an address is told that is none. Its text is for the user.
//
//lint:ignore ST1005 a sentence for the user
var ErrEmail = errors.New("Enter a valid email address.")

// Email returns the normal form of an e-mail address: its domain in small letters.
// It takes plain addresses alone, local@domain, and refuses what mail servers read
// in different ways: quoted local parts, comments, several @, domains that are
// addresses.
func Email(address string) (string, error) {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || len(address) > 254 || len(local) > 64 || !dotted(local, "!#$%&'*+/=?^_`{|}~-") {
		return "", ErrEmail
	}
	domain = strings.ToLower(domain)
	if !strings.Contains(domain, ".") || !dotted(domain, "-") {
		return "", ErrEmail
	}
	for label := range strings.SplitSeq(domain, ".") {
		if len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", ErrEmail
		}
	}
	if last := domain[strings.LastIndexByte(domain, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return "", ErrEmail
	}
	return local + "@" + domain, nil
}

// dotted reports whether s is parts joined by single dots, each of ASCII letters,
// digits and the signs given.
func dotted(s, signs string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" {
			return false
		}
		for i := range len(part) {
			c := part[i]
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(signs, c) >= 0) {
				return false
			}
		}
	}
	return true
}
