package authn

import (
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"
)

// CheckPath returns an error if programs could interpret the path of u in different ways. A router
// matches the path as it was sent. File servers, reverse proxies and applications behind a gateway
// use the decoded path, and some of them clean it or decode it again. A permission for the first
// interpretation would not protect the second.
//
// It rejects these paths:
//   - an encoded slash (%2F), and an encoded or raw backslash
//   - a semicolon, encoded or not: servlet containers and others remove what follows it, so they
//     serve "/admin;x" as "/admin"; see [CheckPathWithParameters]
//   - a segment that is "." or "..", encoded or not
//   - an empty segment ("//")
//   - control characters, NUL, and bytes that are not UTF-8, such as overlong encodings
//   - double encoding (%252F, %2561), because some programs decode again; a percent sign in a name
//     is accepted ("/100%25") unless two hexadecimal digits follow it ("/100%25ab")
//   - a URL whose RawPath is not an encoding of its Path, or that has an Opaque part
//
// The error contains no text of the request. Use it for logs.
func CheckPath(u *url.URL) error { return pathFault(u, false) }

// CheckPathWithParameters is [CheckPath] for paths with parameters ("/a;b=c", RFC 3986, section
// 3.3): it accepts a semicolon. Use it only if every program that handles the path, including those
// behind a gateway, keeps the parameters of "/admin;x". A dot segment or an empty segment with
// parameters ("/..;a/", "/;a/") is rejected.
func CheckPathWithParameters(u *url.URL) error { return pathFault(u, true) }

var (
	errPathEncoding = errors.New("path: RawPath is not an encoding of Path")
	errPathOpaque   = errors.New("path: the request target is opaque")
	errPathSlash    = errors.New("path: encoded slash")
	errPathBack     = errors.New("path: backslash")
	errPathDots     = errors.New("path: dot segment")
	errPathEmpty    = errors.New("path: empty segment")
	errPathBytes    = errors.New("path: control character or invalid UTF-8")
	errPathTwice    = errors.New("path: encoded twice")
	errPathParam    = errors.New("path: semicolon")
)

// pathFault returns the error for a path, or nil.
func pathFault(u *url.URL, parameters bool) error {
	if u.Opaque != "" {
		return errPathOpaque
	}
	if u.RawPath != "" {
		if p, err := url.PathUnescape(u.RawPath); err != nil || p != u.Path {
			return errPathEncoding
		}
		if hasSlash(u.RawPath) {
			return errPathSlash
		}
	}
	p, ascii, start := u.Path, true, 0
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '/':
			if i == start && i > 0 {
				return errPathEmpty
			}
			if isDots(p[start:i]) {
				return errPathDots
			}
			start = i + 1
		case c == ';' && !parameters:
			return errPathParam
		case c == ';' && i == start:
			return errPathEmpty
		case c == '\\':
			return errPathBack
		case c == '%':
			if twice(p[i+1:]) {
				return errPathTwice
			}
		case c < ' ' || c == 0x7f:
			return errPathBytes
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	switch {
	case isDots(p[start:]):
		return errPathDots
	case !ascii && !utf8.ValidString(p):
		return errPathBytes
	}
	return nil
}

// hasSlash reports whether an escaped path contains %2F.
func hasSlash(s string) bool {
	for i := strings.IndexByte(s, '%'); i >= 0; {
		if s = s[i+1:]; len(s) >= 2 && s[0] == '2' && s[1]|0x20 == 'f' {
			return true
		}
		i = strings.IndexByte(s, '%')
	}
	return false
}

// isDots reports whether a segment without its parameters is "." or "..". Some servers remove
// parameters before they resolve dot segments.
func isDots(segment string) bool {
	if segment == "" || segment[0] != '.' {
		return false
	}
	if i := strings.IndexByte(segment, ';'); i >= 0 {
		segment = segment[:i]
	}
	return segment == "." || segment == ".."
}

// twice reports whether two hexadecimal digits follow a percent sign in a decoded path. A program
// that decodes again gets another path ("%2561dmin" becomes "admin").
func twice(s string) bool { return len(s) >= 2 && isHex(s[0]) && isHex(s[1]) }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}
