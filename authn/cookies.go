package authn

import (
	"errors"
	"net/http"
	"strings"
)

// ErrSeveralCookies reports two cookies of one name. Refuse such a request: one of
// the two may have been set by another host of the domain.
var ErrSeveralCookies = errors.New("authn: several cookies of one name")

// MaxCookies is how long the Cookie headers of a request may be together, in bytes. Common
// servers and proxies accept 8 to 32 KiB.
const MaxCookies = 32 << 10

// ErrLongCookies is the refusal of Cookie headers that are longer than MaxCookies, which are not read:
// an *Error of 401, which a scheme can return as it is.
var ErrLongCookies error = AuthenticationFailed("The cookies of the request are too long.")

// Cookie returns the value of the request's only cookie of that name, as it was
// sent. A scheme that reads cookies starts with it.
//
// It returns ErrNoCredentials if there is none, and ErrSeveralCookies if there are
// two, in one header or in several. Names that differ only in case count as the
// same name, because browsers treat "__HOST-" like "__Host-"; the value of another
// spelling is returned as "". Cookies of other names are not read. It returns
// ErrLongCookies if all cookies have more than MaxCookies bytes: reading them would
// cost a server milliseconds before it knows who sends them.
func Cookie(r *http.Request, name string) (value string, err error) {
	found, size := false, 0
	for _, line := range r.Header["Cookie"] {
		if size += len(line); size > MaxCookies {
			return "", ErrLongCookies
		}
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			pair = trimBlanks(pair)
			exact := len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name
			if !exact && !isSpelling(pair, name) {
				continue
			}
			if found {
				return "", ErrSeveralCookies
			}
			found = true
			if exact {
				value = pair[len(name)+1:]
			}
		}
	}
	if !found {
		return "", ErrNoCredentials
	}
	return value, nil
}

// isSpelling reports whether a pair has that name, in any case and with blanks before "=".
func isSpelling(pair, name string) bool {
	if len(pair) < len(name) || !strings.EqualFold(pair[:len(name)], name) {
		return false
	}
	return strings.HasPrefix(trimBlanks(pair[len(name):]), "=")
}

func trimBlanks(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
