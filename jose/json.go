package jose

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// member is one member of an object: its name without escapes and the JSON text of its value.
type member struct{ name, value []byte }

// scanner parses one JSON text (RFC 8259). It rejects text that parsers read in different ways:
// duplicate names, lone surrogates, text that is not UTF-8. It copies only names with escapes.
type scanner struct {
	data  []byte
	pos   int
	depth int
	// names is a stack of the names in the nested objects being parsed, the outermost first.
	names [][]byte
}

// scanObject returns the members of the object in data. It rejects an object with more than most
// members.
func scanObject(data []byte, most int) ([]member, error) {
	if !utf8.Valid(data) {
		return nil, invalid("JSON is not UTF-8")
	}
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return nil, invalid("JSON is not an object")
	}
	members := make([]member, 0, min(bytes.Count(data, []byte{':'}), 16))
	err := s.object(most, func(name []byte) bool {
		return slices.ContainsFunc(members, func(m member) bool { return bytes.Equal(m.name, name) })
	}, func(name, value []byte) { members = append(members, member{name, value}) })
	if err != nil {
		return nil, err
	}
	if s.space(); s.pos != len(data) {
		return nil, invalid("data after the JSON object")
	}
	return members, nil
}

var errJSON = invalid("malformed JSON")

func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// object parses an object, starting at its brace. has reports whether a name occurred before. add
// is called for each member after its value was parsed.
func (s *scanner) object(most int, has func(name []byte) bool, add func(name, value []byte)) error {
	if s.depth++; s.depth > maxDepth {
		return invalid("JSON is nested more than %d levels deep", maxDepth)
	}
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		s.depth--
		return nil
	}
	for n := 1; ; n++ {
		s.space()
		name, err := s.name()
		switch {
		case err != nil:
			return err
		case has(name):
			return invalid("duplicate JSON name")
		case n > most:
			return invalid("JSON object has more than %d members", most)
		}
		s.space()
		if s.peek() != ':' {
			return errJSON
		}
		s.pos++
		value, err := s.value()
		if err != nil {
			return err
		}
		add(name, value)
		s.space()
		c := s.peek()
		s.pos++
		switch c {
		case ',':
		case '}':
			s.depth--
			return nil
		default:
			return errJSON
		}
	}
}

// nested parses an object that is a value. It only checks the names. They are on the stack while it
// runs, above the names of the enclosing objects.
func (s *scanner) nested() error {
	first := len(s.names)
	err := s.object(maxMembers, func(name []byte) bool {
		return slices.ContainsFunc(s.names[first:], func(n []byte) bool { return bytes.Equal(n, name) })
	}, func(name, _ []byte) { s.names = append(s.names, name) })
	s.names = s.names[:first]
	return err
}

func (s *scanner) name() ([]byte, error) {
	raw, err := s.text()
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	return unescape(raw), nil
}

// value parses any value and returns its text.
func (s *scanner) value() ([]byte, error) {
	s.space()
	start := s.pos
	var err error
	switch c := s.peek(); c {
	case '{':
		err = s.nested()
	case '[':
		err = s.list()
	case '"':
		_, err = s.text()
	case 't':
		err = s.word("true")
	case 'f':
		err = s.word("false")
	case 'n':
		err = s.word("null")
	default:
		err = s.number()
	}
	if err != nil {
		return nil, err
	}
	return s.data[start:s.pos], nil
}

func (s *scanner) word(w string) error {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		return errJSON
	}
	s.pos += len(w)
	return nil
}

func (s *scanner) list() error {
	if s.depth++; s.depth > maxDepth {
		return invalid("JSON is nested more than %d levels deep", maxDepth)
	}
	s.pos++
	if s.space(); s.peek() == ']' {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if _, err := s.value(); err != nil {
			return err
		}
		s.space()
		c := s.peek()
		s.pos++
		switch c {
		case ',':
		case ']':
			s.depth--
			return nil
		default:
			return errJSON
		}
	}
}

// number parses a number (RFC 8259, section 6).
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	switch c := s.peek(); {
	case c == '0':
		s.pos++
	case '1' <= c && c <= '9':
		s.digits()
	default:
		return errJSON
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return errJSON
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return errJSON
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}
