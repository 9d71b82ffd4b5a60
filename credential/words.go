package credential

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/storage"
)

// CheckKeyword returns an error unless s can be a scheme's keyword in Authorization: letters,
// digits, "-" and "_". RFC 9110, section 5.6.2, allows more characters; clients do not.
func CheckKeyword(s string) error {
	if !IsName(s) {
		return fmt.Errorf("credential: keyword %q is not valid (letters, digits, \"-\" and \"_\")", s)
	}
	return nil
}

// IsName reports whether s is not empty and has only ASCII letters, digits, "-" and "_".
func IsName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != ""
}

// CheckRealm returns an error unless s can be the realm of a challenge: printable ASCII
// without quotes and backslashes. "" is valid: no realm.
func CheckRealm(s string) error {
	if !isQuotable(s) {
		return fmt.Errorf("credential: realm %q is not valid (printable ASCII without quotes and backslashes)", s)
	}
	return nil
}

// isQuotable reports whether s is printable ASCII that a quoted string holds without an escape.
func isQuotable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Challenge returns the WWW-Authenticate value of a keyword with a realm, or the keyword alone
// if realm is "". Check both at construction (CheckKeyword, CheckRealm). For schemes under
// "Bearer" use authn.BearerChallenge, or a Header, which does.
func Challenge(keyword, realm string) string {
	if realm == "" {
		return keyword
	}
	return keyword + ` realm="` + realm + `"`
}

// NewID returns a random public identifier of 32 hexadecimal digits for a record, such as a
// token in its owner's list. It returns an error only if random does.
func NewID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("credential: no random bytes: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// Stamp returns t as every store keeps it: in UTC, in whole microseconds.
func Stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Printable returns a text of a client, such as User-Agent, as it can be stored and shown:
// valid UTF-8 without control characters, at most limit bytes.
func Printable(text string, limit int) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == utf8.RuneError {
			return -1
		}
		return c
	}, strings.ToValidUTF8(text, ""))
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return text
}

// Sources returns clock, or time.Now if it is nil, and random, or crypto/rand.Reader if it is
// nil: the defaults of a scheme's options.
func Sources(clock func() time.Time, random io.Reader) (func() time.Time, io.Reader) {
	if clock == nil {
		clock = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	return clock, random
}

// Reasons why CheckAccount rejects a record, for logs.
var (
	ErrDisabled = errors.New("account disabled")
	ErrEpoch    = errors.New("revoked with an earlier epoch of the account")
)

// CheckAccount returns ErrDisabled or ErrEpoch unless the account is active and its epoch is
// the one that the credential was issued under. Call it for every record that you look up: it
// makes a password change, a disabled account and "log out everywhere" effective for your
// scheme. Send the same public error for both, with the returned error as its private cause.
func CheckAccount(u storage.User, epoch int64) error {
	switch {
	case !u.Active:
		return ErrDisabled
	case u.Epoch != epoch:
		return ErrEpoch
	}
	return nil
}
