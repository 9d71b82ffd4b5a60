package jose

import (
	"bytes"
	"unicode/utf8"
)

// member is one member of an object: its name, without escapes, and the text of its
// value.
type member struct{ name, value []byte }

// scanner reads one JSON text of RFC 8259 and refuses what others may read
// differently: names that come twice, lone surrogates, text that is not UTF-8. It
// makes no copies but of names with escapes.
type scanner struct {
	data  []byte
	pos   int
	depth int
	names []member // of the nested objects being read, the outer ones first
}

// scanObject returns the members of the object that data is.
func scanObject(data []byte) ([]member, error) {
	if !utf8.Valid(data) {
		return nil, invalid("JSON that is not UTF-8")
	}
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return nil, invalid("JSON that is no object")
	}
	members, err := s.object(make([]member, 0, 16))
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

// object reads an object from its brace on and appends its members to list.
func (s *scanner) object(list []member) ([]member, error) {
	if s.depth++; s.depth > maxDepth {
		return nil, invalid("JSON deeper than %d", maxDepth)
	}
	s.pos++
	first := len(list)
	s.space()
	if s.peek() == '}' {
		s.pos++
		s.depth--
		return list, nil
	}
	for {
		s.space()
		name, err := s.name()
		if err != nil {
			return nil, err
		}
		for _, m := range list[first:] {
			if bytes.Equal(m.name, name) {
				return nil, invalid("a JSON name that comes twice")
			}
		}
		if len(list)-first == maxMembers {
			return nil, invalid("a JSON object of more than %d members", maxMembers)
		}
		s.space()
		if s.peek() != ':' {
			return nil, errJSON
		}
		s.pos++
		value, err := s.value()
		if err != nil {
			return nil, err
		}
		list = append(list, member{name, value})
		s.space()
		c := s.peek()
		s.pos++
		switch c {
		case ',':
		case '}':
			s.depth--
			return list, nil
		default:
			return nil, errJSON
		}
	}
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

// value reads any value and returns its text.
func (s *scanner) value() ([]byte, error) {
	s.space()
	start := s.pos
	var err error
	switch c := s.peek(); c {
	case '{':
		before := len(s.names)
		s.names, err = s.object(s.names)
		if err == nil {
			s.names = s.names[:before]
		}
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
		return invalid("JSON deeper than %d", maxDepth)
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

// number reads a number of RFC 8259 section 6.
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
