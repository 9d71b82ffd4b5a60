package authn

import (
	"errors"
	"net/http"
	"strings"
)

// ErrSeveralCookies means that a request has two cookies of one name. Reject such a request: one of
// the cookies may have been set by another host of the domain.
var ErrSeveralCookies = errors.New("authn: Cookie: several cookies of one name")

// MaxCookies is the largest total size of a request's Cookie headers, in bytes. Common servers and
// proxies accept 8 to 32 KiB.
const MaxCookies = 32 << 10

// ErrLongCookies rejects Cookie headers that are longer than MaxCookies together; they are not
// parsed. It is an [*Error] with status 401 that a scheme can return unchanged.
var ErrLongCookies error = AuthenticationFailed("The cookies of the request are too long.")

// Cookie returns the value of the request's only cookie with that name, exactly as it was sent.
// Call it first in a scheme that reads cookies.
//
// It returns [ErrNoCredentials] if the cookie is absent and [ErrSeveralCookies] if it occurs twice,
// in one header or in several. Names that differ only in case count as the same name, because
// browsers treat "__HOST-" like "__Host-". If the request has the name in another case, the value
// is "".
//
// It returns [ErrLongCookies] if the Cookie headers have more than [MaxCookies] bytes: parsing them
// would cost milliseconds before the client is authenticated. Cookies with other names are not
// read.
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

// isSpelling reports whether a pair has that name, in any case and with optional blanks before "=".
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
