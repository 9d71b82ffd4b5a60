// Package username normalizes account names, so that each account has one name, even if people type
// it differently. Set [Canonical] as Options.Canonical of package password. [Email] does the same
// for e-mail addresses.
package username

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// Maximum length of a normalized name, in characters and in bytes.
const (
	MaxRunes = 150
	MaxBytes = 255
)

// ErrInvalid is returned for a name that has no normal form. Its text is for the user.
//
//lint:ignore ST1005 a sentence for the user
var ErrInvalid = errors.New("Enter a valid username. It may hold letters, digits and @ . + - _ only.")

// Canonical returns the normal form of a name, by the profile UsernameCaseMapped of RFC 8265. It
// removes white space at the ends, maps full-width characters to ordinary ones and letters to lower
// case, and returns NFC. It also maps the Greek final ς to σ, because upper case Σ maps to σ.
// Canonical of a normal form returns the same name.
//
// It returns [ErrInvalid] if
//   - the name is empty, or longer than MaxRunes or MaxBytes
//   - it holds white space, control characters or invisible characters (soft hyphen, zero width,
//     direction marks)
//   - it holds ligatures or other compatibility characters, or mixes directions
//   - it begins or ends with a dot
//   - it holds an ASCII character that Django does not accept: only letters, digits and @ . + - _
//     are valid
//
// The Turkish dotless ı is unchanged, and the dotted İ becomes i with a second dot; neither equals
// i. The German ß does not become ss. Letters of different scripts that look alike stay different,
// so two such names are two accounts.
func Canonical(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > 4*MaxBytes || !utf8.ValidString(name) {
		return "", ErrInvalid
	}
	if usual(name) { // already normalized
		return check(name)
	}
	for range 4 { // RFC 8265 section 3.5: repeat until the result is stable
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

// usual reports whether name has only lower-case ASCII letters, digits and signs that names can
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

// ErrEmail is returned for an invalid e-mail address. Its text is for the user.
//
//lint:ignore ST1005 a sentence for the user
var ErrEmail = errors.New("Enter a valid email address.")

// Email returns the normal form of an e-mail address: the domain in lower case, the local part
// unchanged. It accepts only plain addresses (local@domain) of at most 254 bytes. It returns
// [ErrEmail] for all other addresses, in particular for addresses that mail servers read in
// different ways: quoted local parts, comments, several @, and IP addresses as domain.
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

// dotted reports whether s consists of parts joined by single dots, each of ASCII letters, digits
// and the given signs.
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
