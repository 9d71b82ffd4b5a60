package authn

import (
	"errors"
	"strings"
)

// Why CheckPath refuses a path.
var (
	errPathEscape = errors.New("the path has a malformed escape")
	errPathSlash  = errors.New("the path has an encoded slash")
	errPathBack   = errors.New("the path has a backslash")
	errPathDots   = errors.New("the path has an encoded dot segment")
	errPathNUL    = errors.New("the path has an encoded NUL")
)

// CheckPath reports why two programs could read a path differently. escaped is the
// path as it was sent, without the query (url.URL.EscapedPath).
//
// A router that matches the escaped path sees one segment in "/files/secret%2Fkey";
// a file server or a proxy behind it decodes the path and opens /files/secret/key.
// A permission that belongs to the first reading would not protect the second.
// CheckPath refuses an encoded slash or NUL, a backslash (encoded or not), a
// malformed escape, and a segment "." or ".." of which any dot is encoded. It
// accepts plain dot segments: routers clean or refuse these themselves.
func CheckPath(escaped string) error {
	if strings.IndexByte(escaped, '\\') >= 0 {
		return errPathBack
	}
	if strings.IndexByte(escaped, '%') < 0 {
		return nil
	}
	for segment := range strings.SplitSeq(escaped, "/") {
		dots, encoded, other := 0, false, false
		for i := 0; i < len(segment); i++ {
			c, sent := segment[i], true
			if c == '%' {
				if i+2 >= len(segment) {
					return errPathEscape
				}
				hi, lo := unhex(segment[i+1]), unhex(segment[i+2])
				if hi < 0 || lo < 0 {
					return errPathEscape
				}
				c, sent = byte(hi<<4|lo), false
				i += 2
			}
			switch {
			case sent && c != '.':
				other = true
			case c == '/':
				return errPathSlash
			case c == '\\':
				return errPathBack
			case c == 0:
				return errPathNUL
			case c == '.':
				dots++
				encoded = encoded || !sent
			default:
				other = true
			}
		}
		if encoded && !other && dots <= 2 {
			return errPathDots
		}
	}
	return nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
