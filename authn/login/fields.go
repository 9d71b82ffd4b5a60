package login

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Field is a value that an endpoint reads from the body.
type Field struct {
	Name string
	// Trim removes white space at both ends. Set it for names, and never for a password.
	Trim bool
	// Optional fields can be absent, null or blank. Their value is then "".
	Optional bool
	// Bool fields are true or false in JSON, or one of the words that forms send, such as "on",
	// "true" and "1". The value is "true" or "".
	Bool bool
	// MaxBytes is the largest length of the value in bytes. 0 means 4 KiB, which is enough for names
	// and passwords. Set it for longer texts and tokens; it also raises the limit of the body.
	MaxBytes int
}

// Username and Password are the fields of a login with their default names.
var (
	Username = Field{Name: "username", Trim: true}
	Password = Field{Name: "password"}
)

// defaultBytes is the default of Field.MaxBytes.
const defaultBytes = 4 << 10

func (f Field) most() int { return cmp.Or(f.MaxBytes, defaultBytes) }

// fits reports whether a value of n bytes is decoded. White space that Trim removes is not counted
// in MaxBytes.
func (f Field) fits(n int) bool {
	if f.Trim {
		n -= maxSpace
	}
	return n <= f.most()
}

// maxSpace is how much longer a value with Trim can be before it is trimmed, in bytes.
const maxSpace = 256

func (f Field) long() string {
	return fmt.Sprintf("Ensure this field has no more than %d bytes.", f.most())
}

// tooLong is a value that was not decoded because it does not fit.
type tooLong struct{}

// file is the value of a field that was sent as a file.
type file struct{}

// text returns the value of the field, or a message for the client if it is invalid.
func (f Field) text(values map[string]any) (value, message string) {
	v, ok := values[f.Name]
	if !ok {
		if f.Optional {
			return "", ""
		}
		return "", "This field is required."
	}
	if _, long := v.(tooLong); long {
		return "", f.long()
	}
	if f.Bool {
		return truth(v)
	}
	switch v := v.(type) {
	case nil:
		if f.Optional {
			return "", ""
		}
		return "", "This field may not be null."
	case string:
		value = v
	case json.Number:
		value = v.String()
	default:
		return "", "Not a valid string."
	}
	if strings.ContainsRune(value, 0) {
		return "", "Null characters are not allowed."
	}
	if f.Trim {
		value = strings.TrimSpace(value)
	}
	if value == "" && !f.Optional {
		return "", "This field may not be blank."
	}
	return value, ""
}

// truth parses a boolean like the BooleanField of Django REST Framework.
func truth(v any) (value, message string) {
	text := fmt.Sprint(v)
	if v == nil {
		text = ""
	}
	switch strings.ToLower(text) {
	case "true", "t", "1", "yes", "y", "on":
		return "true", ""
	case "false", "f", "0", "no", "n", "off", "":
		return "", ""
	}
	return "", "Must be a valid boolean."
}

// checkNames returns an error if a name is invalid or occurs twice.
func checkNames(fields []Field) error {
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		ok := f.Name != "" && len(f.Name) <= 64 && utf8.ValidString(f.Name) && strings.TrimSpace(f.Name) == f.Name
		for _, c := range f.Name {
			ok = ok && c >= ' ' && c != 0x7f && c != '"' && c != '\\'
		}
		if !ok {
			return fmt.Errorf("login: field name %q is invalid (1 to 64 bytes without control characters, quotes and backslashes)", f.Name)
		}
		if seen[f.Name] {
			return fmt.Errorf("login: field name %q occurs twice", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}
