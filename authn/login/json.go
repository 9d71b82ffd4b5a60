package login

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/params"
)

// fromJSON returns the values of the fields in a JSON object. encoding/json would copy each member
// of the body, several times if it has escapes, also those that no field names. So it only checks
// the syntax, and the members are found and decoded here.
func fromJSON(body []byte, fields []Field) (map[string]any, error) {
	if !utf8.Valid(body) {
		return nil, parseError("the body is not UTF-8")
	}
	if len(body) == 0 {
		return nil, nil
	}
	body = withoutMark(body)
	if valuesOf(body) > params.Most {
		return nil, parseError("the body has too many values")
	}
	body = bytes.TrimLeft(body, jsonSpace)
	value, rest := cutValue(body)
	if !json.Valid(value) {
		return nil, parseError("the body is not JSON")
	}
	if len(bytes.TrimLeft(rest, jsonSpace)) > 0 {
		return nil, parseError("data after the JSON value")
	}
	if value[0] != '{' {
		return nil, authn.FieldError("non_field_errors", "Invalid data. Expected a dictionary, but got "+pythonType(value)+".")
	}
	found := make(map[string]any, len(fields))
	rest = bytes.TrimLeft(value[1:], jsonSpace)
	for rest[0] == '"' {
		var name, member []byte
		name, rest = cutValue(rest)
		rest = bytes.TrimLeft(bytes.TrimLeft(rest, jsonSpace)[1:], jsonSpace) // after the colon
		member, rest = cutValue(rest)
		if f := named(fields, name); f != nil {
			found[f.Name] = f.fromJSON(member) // the last one counts
		}
		if rest = bytes.TrimLeft(rest, jsonSpace); rest[0] == ',' {
			rest = bytes.TrimLeft(rest[1:], jsonSpace)
		}
	}
	return found, nil
}

const jsonSpace = " \t\r\n"

// cutValue returns the value at the beginning of a JSON text, and the text after it. If the text is
// not valid, neither is the value.
func cutValue(text []byte) (value, rest []byte) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\':
			i++
			continue
		case c == '"':
			if quoted = !quoted; quoted {
				continue
			}
		case quoted:
			continue
		case c == '{' || c == '[':
			depth++
			continue
		case c == '}' || c == ']':
			if depth--; depth < 0 { // the end of the object that contains a number or a word
				return text[:i], text[i:]
			}
		case depth == 0 && i > 0 && bytes.IndexByte([]byte(jsonSpace+",:"), c) >= 0:
			return text[:i], text[i:]
		default:
			continue
		}
		if depth == 0 {
			return text[:i+1], text[i+1:]
		}
	}
	return text, nil
}

// named returns the field whose name is the JSON string, or nil.
func named(fields []Field, text []byte) *Field {
	for i := range fields {
		n := len(fields[i].Name)
		if len(text)-2 < n || len(text)-2 > 6*n { // an escape has at most 6 bytes
			continue
		}
		if unquoted(text) == fields[i].Name {
			return &fields[i]
		}
	}
	return nil
}

// nested is a list or an object, which is no value of a field.
type nested struct{}

// fromJSON returns the value of a member: nil, a bool, a json.Number, a string, nested or tooLong.
func (f *Field) fromJSON(member []byte) any {
	switch member[0] {
	case '{', '[':
		return nested{}
	case 'n':
		return nil
	case 't', 'f':
		return member[0] == 't'
	case '"':
		if !f.fits(lengthOf(member)) {
			return tooLong{}
		}
		return unquoted(member)
	}
	if !f.fits(len(member)) {
		return tooLong{}
	}
	return json.Number(member)
}

// lengthOf returns how many bytes a valid JSON string has when it is decoded.
func lengthOf(text []byte) (n int) {
	for i := 1; i < len(text)-1; {
		if text[i] != '\\' {
			n++
			i++
			continue
		}
		r, size := escape(text[i:])
		n += utf8.RuneLen(r)
		i += size
	}
	return n
}

// unquoted decodes a valid JSON string, as encoding/json does.
func unquoted(text []byte) string {
	length := lengthOf(text)
	text = text[1 : len(text)-1]
	first := bytes.IndexByte(text, '\\')
	if first < 0 {
		return string(text)
	}
	out := append(make([]byte, 0, length), text[:first]...)
	for i := first; i < len(text); {
		if text[i] != '\\' {
			out = append(out, text[i])
			i++
			continue
		}
		r, size := escape(text[i:])
		out = utf8.AppendRune(out, r)
		i += size
	}
	return string(out)
}

// escape decodes the escape, or the two of a surrogate pair, at the beginning of a text, and returns
// its size. Half a pair is the replacement character.
func escape(text []byte) (r rune, size int) {
	switch c := text[1]; c {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default: // a quote, a slash or a backslash
		return rune(c), 2
	}
	r = hex4(text[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(text[8:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(text []byte) rune {
	n, _ := strconv.ParseUint(string(text[:4]), 16, 16)
	return rune(n)
}
