package jose

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// text parses a string and returns it with its quotes.
func (s *scanner) text() ([]byte, error) {
	if s.peek() != '"' {
		return nil, errJSON
	}
	start := s.pos
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start:s.pos], nil
		case c < ' ':
			return nil, errJSON
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		}
	}
	return nil, errJSON
}

// escape parses an escape sequence and stops at its last byte.
func (s *scanner) escape() error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
	default:
		return errJSON
	}
	r, ok := hex4(s.data[s.pos+1:])
	if !ok {
		return errJSON
	}
	s.pos += 4
	if !utf16.IsSurrogate(r) {
		return nil
	}
	rest := s.data[s.pos+1:]
	if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return invalid("lone surrogate in JSON")
	}
	low, ok := hex4(rest[2:])
	if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
		return invalid("lone surrogate in JSON")
	}
	s.pos += 6
	return nil
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape returns the value of a string that text returned, quotes included.
func unescape(raw []byte) []byte {
	in := raw[1 : len(raw)-1]
	out := make([]byte, 0, len(in))
	for {
		i := bytes.IndexByte(in, '\\')
		if i < 0 {
			return append(out, in...)
		}
		out = append(out, in[:i]...)
		c := in[i+1]
		in = in[i+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(in)
			in = in[4:]
			if utf16.IsSurrogate(r) {
				low, _ := hex4(in[2:])
				r, in = utf16.DecodeRune(r, low), in[6:]
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, c)
	}
}

// textOf returns the string in value. It returns false if value is not a string.
func textOf(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	return string(unescape(value)), true
}
