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

// CheckKeyword returns an error if s is not valid as a scheme's keyword in Authorization: letters,
// digits, "-" and "_". RFC 9110, section 5.6.2, allows more characters, but many clients do not.
func CheckKeyword(s string) error {
	if !IsName(s) {
		return fmt.Errorf("credential: keyword %q is invalid (letters, digits, \"-\" and \"_\")", s)
	}
	return nil
}

// IsName reports whether s is not empty and contains only ASCII letters, digits, "-" and "_".
func IsName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != ""
}

// CheckRealm returns an error if s is not valid as the realm of a challenge: printable ASCII
// without quotes and backslashes. "" is valid and means no realm.
func CheckRealm(s string) error {
	if !isQuotable(s) {
		return fmt.Errorf("credential: realm %q is invalid (printable ASCII without quotes and backslashes)", s)
	}
	return nil
}

// isQuotable reports whether s is printable ASCII that needs no escape in a quoted string.
func isQuotable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Challenge returns the WWW-Authenticate value for a keyword and a realm, or only the keyword if
// realm is "". Check both when you create the scheme ([CheckKeyword], [CheckRealm]). For the
// keyword "Bearer", use [authn.BearerChallenge] or a [Header].
func Challenge(keyword, realm string) string {
	if realm == "" {
		return keyword
	}
	return keyword + ` realm="` + realm + `"`
}

// NewID returns a random public identifier of 32 hexadecimal digits for a record, for example for a
// token in a list of the owner's tokens. It returns an error only if random does.
func NewID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("credential: NewID: read random bytes: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// Stamp returns t with the precision of stores: in UTC, with whole microseconds.
func Stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Printable returns a client's text, such as User-Agent, in a form that can be stored and
// displayed: valid UTF-8 without control characters, at most limit bytes.
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

// Sources returns the defaults of a scheme's options: time.Now if clock is nil, and
// crypto/rand.Reader if random is nil.
func Sources(clock func() time.Time, random io.Reader) (func() time.Time, io.Reader) {
	if clock == nil {
		clock = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	return clock, random
}

// The reasons for which [CheckAccount] rejects credentials, for logs.
var (
	ErrDisabled = errors.New("account disabled")
	ErrEpoch    = errors.New("revoked with an earlier epoch of the account")
)

// CheckAccount returns [ErrDisabled] if the account is not active, and [ErrEpoch] if its epoch is
// not the epoch with which the credentials were issued. Call it for every record that you look up.
// It makes a password change, a disabled account and "log out everywhere" effective for your
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
