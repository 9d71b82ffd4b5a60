package authn

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"
)

// MaxCredential is the largest size of credentials in bytes. [Credentials] rejects longer ones
// before it parses them.
const MaxCredential = 16 << 10

// Credentials returns the credentials that follow keyword in the request's Authorization header.
// Call it first in your own scheme. The keyword is compared without regard to case. kind is the
// name of the credentials in error texts, such as "token" or "basic".
//
// It returns [ErrNoCredentials] if the header is absent or has another keyword. It returns an
// [*Error] in these cases:
//   - There are several Authorization headers: 400 invalid_request.
//   - The keyword is "Bearer" or "DPoP", and not followed by one or more spaces and one token68
//     (RFC 9110, sections 11.2 and 11.4): 400 invalid_request (RFC 6750, section 3.1). A tab does
//     not count as a space.
//   - Another keyword is followed by credentials that are empty, contain white space or are not
//     UTF-8: 401 with the text of Django REST Framework. Any ASCII white space separates them from
//     the keyword.
//   - The credentials are longer than [MaxCredential]: 401.
func Credentials(r *http.Request, keyword, kind string) (string, error) {
	lines := r.Header["Authorization"]
	if len(lines) == 0 {
		return "", ErrNoCredentials
	}
	if len(lines) > 1 {
		return "", errSeveralHeaders
	}
	rest, ok := cutKeyword(lines[0], keyword)
	if !ok {
		return "", ErrNoCredentials
	}
	if len(rest) > MaxCredential {
		return "", errTooLong
	}
	if text := afterSpaces(rest); text != "" && isToken68(text) { // valid with any keyword
		return text, nil
	}
	if strings.EqualFold(keyword, "Bearer") || strings.EqualFold(keyword, "DPoP") {
		return "", errMalformedBearer
	}
	token := strings.Trim(rest, asciiSpace)
	switch {
	case token == "":
		return "", AuthenticationFailed("Invalid " + kind + " header. No credentials provided.")
	case strings.ContainsAny(token, asciiSpace):
		what := "Token"
		if kind == "basic" {
			what = "Credentials"
		}
		return "", AuthenticationFailed("Invalid " + kind + " header. " + what + " string should not contain spaces.")
	case !utf8.ValidString(token):
		return "", AuthenticationFailed("Invalid " + kind + " header. Token string should not contain invalid characters.")
	}
	return token, nil
}

// RawCredentials returns the text that follows keyword and one or more spaces in the request's only
// Authorization header, or "". It does not check the text. Use it in the method Presented (see
// [Keeper]), which must be fast. In Authenticate, use [Credentials].
func RawCredentials(r *http.Request, keyword string) string {
	lines := r.Header["Authorization"]
	if len(lines) != 1 {
		return ""
	}
	rest, ok := cutKeyword(lines[0], keyword)
	if !ok || len(rest) > MaxCredential {
		return ""
	}
	return afterSpaces(rest)
}

// afterSpaces returns the text after the spaces at the beginning of s, or "" if s does not begin
// with one.
func afterSpaces(s string) string {
	if len(s) < 2 || s[0] != ' ' {
		return ""
	}
	i := 1
	for i < len(s) && s[i] == ' ' {
		i++
	}
	return s[i:]
}

var (
	errSeveralHeaders  = BadRequest("The request has more than one Authorization header.").WithCause(errors.New("several Authorization headers"))
	errTooLong         = AuthenticationFailed("Invalid authorization header. The credential is too long.").WithCause(errors.New("credentials too long"))
	errMalformedBearer = BadRequest("The Authorization header is malformed.").WithCause(errors.New("not one token68 after spaces"))
)

const asciiSpace = " \t\n\v\f\r"

// cutKeyword returns the text after the keyword of an Authorization value. Leading white space is
// ignored. The keyword ends at white space or at the end of the line.
func cutKeyword(line, keyword string) (rest string, ok bool) {
	for line != "" && isSpace(line[0]) {
		line = line[1:]
	}
	if len(line) < len(keyword) || line[:len(keyword)] != keyword && !strings.EqualFold(line[:len(keyword)], keyword) {
		return "", false
	}
	rest = line[len(keyword):]
	return rest, rest == "" || isSpace(rest[0])
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// isToken68 reports whether s is a token68: 1*( ALPHA / DIGIT / "-" / "." / "_"
// / "~" / "+" / "/" ) *"=".
func isToken68(s string) bool {
	end := len(s)
	for end > 0 && s[end-1] == '=' {
		end--
	}
	ok := uint8(1)
	for i := range end {
		ok &= token68[s[i]] // without a branch, because a JWT has hundreds of characters
	}
	return end > 0 && ok == 1
}

// token68 is 1 for each character of a token68 except "=".
var token68 = [256]uint8{
	'+': 1, '-': 1, '.': 1, '/': 1, '0': 1, '1': 1, '2': 1, '3': 1, '4': 1, '5': 1, '6': 1, '7': 1, '8': 1,
	'9': 1, 'A': 1, 'B': 1, 'C': 1, 'D': 1, 'E': 1, 'F': 1, 'G': 1, 'H': 1, 'I': 1, 'J': 1, 'K': 1, 'L': 1,
	'M': 1, 'N': 1, 'O': 1, 'P': 1, 'Q': 1, 'R': 1, 'S': 1, 'T': 1, 'U': 1, 'V': 1, 'W': 1, 'X': 1, 'Y': 1,
	'Z': 1, '_': 1, 'a': 1, 'b': 1, 'c': 1, 'd': 1, 'e': 1, 'f': 1, 'g': 1, 'h': 1, 'i': 1, 'j': 1, 'k': 1,
	'l': 1, 'm': 1, 'n': 1, 'o': 1, 'p': 1, 'q': 1, 'r': 1, 's': 1, 't': 1, 'u': 1, 'v': 1, 'w': 1, 'x': 1,
	'y': 1, 'z': 1, '~': 1,
}

// Keyword returns the keyword of the request's Authorization header as it was sent, or "" if there
// is no header.
func Keyword(r *http.Request) string {
	lines := r.Header["Authorization"]
	if len(lines) == 0 {
		return ""
	}
	line := strings.TrimLeft(lines[0], asciiSpace)
	if i := strings.IndexAny(line, asciiSpace); i >= 0 {
		line = line[:i]
	}
	return line
}
