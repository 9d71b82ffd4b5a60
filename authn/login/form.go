package login

import (
	"bytes"
	"net/url"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/internal/params"
)

var errForm = parseError("the body is no form")

// fromForm returns the values of the fields in a form. It accepts what url.ParseQuery accepts, and
// decodes only the fields.
func fromForm(body []byte, fields []Field) (map[string]any, error) {
	body = withoutMark(body)
	if bytes.Count(body, []byte("&")) >= params.Most || bytes.IndexByte(body, ';') >= 0 {
		return nil, errForm
	}
	texts := make(map[string]any, len(fields))
	for pair := range bytes.SplitSeq(body, []byte("&")) {
		name, value, _ := bytes.Cut(pair, []byte("="))
		length, ok := formLength(value)
		if n, valid := formLength(name); !ok || !valid {
			return nil, errForm
		} else if n > 64 { // no field has such a name
			continue
		}
		key, err := url.QueryUnescape(string(name))
		if err != nil {
			return nil, errForm
		}
		for _, f := range fields {
			if f.Name != key {
				continue
			}
			if !f.fits(length) {
				texts[key] = tooLong{} // the last one counts, like in Django
				break
			}
			text, err := url.QueryUnescape(string(value))
			if err != nil {
				return nil, errForm
			}
			texts[key] = text
		}
	}
	for _, text := range texts {
		if s, ok := text.(string); ok && !utf8.ValidString(s) {
			return nil, parseError("the body is not UTF-8")
		}
	}
	return texts, nil
}

// formLength returns the length of a decoded name or value, and false if it is malformed.
func formLength(text []byte) (n int, ok bool) {
	for i := 0; i < len(text); i++ {
		n++
		if text[i] == '%' {
			if i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2]) {
				return 0, false
			}
			i += 2
		}
	}
	return n, true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}
