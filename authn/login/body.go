package login

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/params"
)

// MaxBody is the largest accepted size of a request body, in bytes.
const MaxBody = 64 << 10

// Read reads the values of the fields from the body of a POST and returns them in the order of
// fields. The body is a JSON object, a form, or multipart/form-data. A byte order mark at the
// beginning is skipped. If a form contains a field several times, the last value counts. Unknown
// fields are ignored.
//
// Every error is an [*authn.Error]. It contains no text of the body.
//   - 400 if a field is missing or invalid, with a message for each field
//   - 400 if the body is malformed
//   - 403 if the form comes from a page of another site
//   - 405 if the method is not POST, with Allow set on w
//   - 413 if the body is larger than [MaxBody]
//   - 415 if the media type is not supported
func Read(w http.ResponseWriter, r *http.Request, fields ...Field) ([]string, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, authn.MethodNotAllowed(r.Method)
	}
	if csrf.IsForeignForm(w.Header(), r) {
		return nil, authn.PermissionDenied("This request came from another site.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &authn.Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: fmt.Sprintf("The body is larger than %d bytes.", MaxBody)}
		}
		return nil, parseError("the body could not be read")
	}
	texts, err := parse(r, body)
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
		return nil, invalid(wrong...)
	}
	for i, f := range fields {
		if f.MaxBytes > 0 && len(values[i]) > f.MaxBytes {
			wrong = append(wrong, authn.Member{Name: f.Name, Value: []string{fmt.Sprintf("Ensure this field has no more than %d bytes.", f.MaxBytes)}})
		}
	}
	if wrong != nil {
		return nil, invalid(wrong...)
	}
	return values, nil
}

func invalid(wrong ...authn.Member) *authn.Error {
	return &authn.Error{Status: http.StatusBadRequest, Code: "invalid", Members: wrong}
}

func parseError(what string) *authn.Error {
	return &authn.Error{Status: http.StatusBadRequest, Code: "parse_error", Detail: "Malformed request: " + what + "."}
}

func parse(r *http.Request, body []byte) (map[string]any, error) {
	kind, options := mediaType(r)
	switch kind {
	case "application/json", "":
		return fromJSON(body)
	case "application/x-www-form-urlencoded":
		return fromForm(body)
	case "multipart/form-data":
		return fromMultipart(body, options["boundary"])
	}
	return nil, &authn.Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
		Detail: fmt.Sprintf("Unsupported media type %q in request.", kind)}
}

// mediaType returns the type of the body and its parameters. "" means that there is no type; the
// body is then parsed as JSON. A malformed type is returned unchanged.
func mediaType(r *http.Request) (string, map[string]string) {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return "", nil
	}
	kind, options, err := params.MediaType(header)
	if err == params.ErrLongMediaType { // too long for the response
		return "that is too long", nil
	}
	if err != nil {
		return strings.ToValidUTF8(header, "?"), nil
	}
	return kind, options
}

// withoutMark removes a byte order mark, which editors and some HTTP clients write.
func withoutMark(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\ufeff")) }

func fromJSON(body []byte) (map[string]any, error) {
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
	d := json.NewDecoder(bytes.NewReader(body))
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
		return nil, authn.FieldError("non_field_errors", "Invalid data. Expected a dictionary, but got "+pythonType(v)+".")
	}
	return object, nil
}

// valuesOf returns a lower bound for the number of lists, objects and further members in a JSON
// text. Each of them uses much more memory than its length. Characters in strings are not counted.
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
	form, err := params.Parse(string(withoutMark(body)))
	if err != nil {
		return nil, parseError("the body is no form")
	}
	texts := make(map[string]any, len(form))
	for name, values := range form {
		last := values[len(values)-1] // like Django
		if !utf8.ValidString(last) {
			return nil, parseError("the body is not UTF-8")
		}
		texts[name] = last
	}
	return texts, nil
}
