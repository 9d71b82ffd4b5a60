// Package loginform reads the bodies that login endpoints take: an object of JSON
// or a form, with the error texts of Django REST Framework.
package loginform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/params"
)

// MaxBody is the largest body, in bytes.
const MaxBody = 64 << 10

// Field is one text to be read.
type Field struct {
	Name string
	// Trim takes blanks off both ends, as for a name; never for a password.
	Trim bool
	// Optional fields may be absent; they are "" then.
	Optional bool
	// Bool fields are true or false, in JSON or in the words of forms ("on", "true", "1",
	// …); the value is "true" or "".
	Bool bool
}

// Username and Password are the fields of every login.
var (
	Username = Field{Name: "username", Trim: true}
	Password = Field{Name: "password"}
)

// Read returns the fields' values in order. The error is an *authn.Error: 400
// with a message for each field that is missing or wrong, 400 or 415 for a body
// that can not be read, 413 for one that is too large, 405 for another method
// than POST (with the Allow header set on w).
func Read(w http.ResponseWriter, r *http.Request, fields ...Field) ([]string, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, authn.MethodNotAllowed(r.Method)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &authn.Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: fmt.Sprintf("The body is larger than %d bytes.", MaxBody)}
		}
		return nil, parseError("the body could not be read")
	}
	var texts map[string]any
	switch kind := mediaType(r); kind {
	case "application/json", "":
		texts, err = fromJSON(body)
	case "application/x-www-form-urlencoded":
		texts, err = fromForm(body)
	default:
		return nil, &authn.Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
			Detail: fmt.Sprintf("Unsupported media type %q in request.", kind)}
	}
	if err != nil {
		return nil, err
	}
	values := make([]string, len(fields))
	var wrong []authn.Member
	for i, f := range fields {
		value, message := f.text(texts)
		if message != "" {
			wrong = append(wrong, authn.Member{Name: f.Name, Value: []string{message}})
		}
		values[i] = value
	}
	if wrong != nil {
		return nil, &authn.Error{Status: http.StatusBadRequest, Code: "invalid", Members: wrong}
	}
	return values, nil
}

// mediaType returns the body's type without parameters. "" stands for none, which
// is read as JSON; a type that can not be parsed is returned as it is.
func mediaType(r *http.Request) string {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return ""
	}
	kind, _, err := mime.ParseMediaType(header)
	if err != nil {
		return strings.ToValidUTF8(header, "?")
	}
	return kind
}

func fromJSON(body []byte) (map[string]any, error) {
	if !utf8.Valid(body) {
		return nil, parseError("the body is not UTF-8")
	}
	if len(body) == 0 {
		return nil, nil
	}
	if valuesOf(body) > params.Most {
		return nil, parseError("the body has too many values")
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, parseError("the body is not JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, parseError("data after the JSON value")
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, &authn.Error{Status: http.StatusBadRequest, Code: "invalid", Members: []authn.Member{
			{Name: "non_field_errors", Value: []string{"Invalid data. Expected a dictionary, but got " + pythonType(v) + "."}}}}
	}
	return object, nil
}

// valuesOf is how many lists, objects and further members of them a JSON text has, at least: each
// costs much more memory than its length shows. Strings do not count, whatever is in them.
func valuesOf(body []byte) (n int) {
	text := false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case !text && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n
}

func pythonType(v any) string {
	switch v := v.(type) {
	case []any:
		return "list"
	case string:
		return "str"
	case bool:
		return "bool"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "float"
		}
		return "int"
	}
	return "NoneType"
}

func fromForm(body []byte) (map[string]any, error) {
	form, err := params.Parse(string(body))
	if err != nil {
		return nil, parseError("the body is no form")
	}
	texts := make(map[string]any, len(form))
	for name, values := range form {
		last := values[len(values)-1] // as Django does
		if !utf8.ValidString(last) {
			return nil, parseError("the body is not UTF-8")
		}
		texts[name] = last
	}
	return texts, nil
}

// text returns the field's value, or the message that says what is wrong.
func (f Field) text(texts map[string]any) (value, message string) {
	v, ok := texts[f.Name]
	if !ok {
		if f.Optional {
			return "", ""
		}
		return "", "This field is required."
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

// truth reads a boolean as Django REST Framework's BooleanField does.
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

func parseError(what string) *authn.Error {
	return &authn.Error{Status: http.StatusBadRequest, Code: "parse_error", Detail: "Malformed request: " + what + "."}
}
