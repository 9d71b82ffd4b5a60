package login

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/params"
)

// MaxBody is the largest accepted size of a request body, in bytes. See [Read] for smaller limits.
const MaxBody = 64 << 10

// maxUnknown is the largest size of a body without a Content-Length, in bytes.
const maxUnknown = MaxBody / 2

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
//   - 413 if the body is too large. The limit is 4 KiB plus, for each field, 256 bytes and 6 times
//     its MaxBytes. It is at most [MaxBody], or half of MaxBody without a Content-Length
//   - 415 if the media type is not supported
func Read(w http.ResponseWriter, r *http.Request, fields ...Field) ([]string, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, authn.MethodNotAllowed(r.Method)
	}
	if csrf.IsForeignForm(w.Header(), r) {
		return nil, authn.PermissionDenied("This request came from another site.")
	}
	most := bodyLimit(r, fields)
	if r.ContentLength > most {
		return nil, tooLarge(w, most)
	}
	body, err := params.Body(http.MaxBytesReader(w, r.Body, most), r.ContentLength)
	if err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			return nil, tooLarge(w, most)
		}
		return nil, parseError("the body could not be read")
	}
	texts, err := parse(r, body, fields)
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
		if len(values[i]) > f.most() {
			wrong = append(wrong, authn.Member{Name: f.Name, Value: []string{f.long()}})
		}
	}
	if wrong != nil {
		return nil, invalid(wrong...)
	}
	return values, nil
}

// bodyLimit returns how many bytes a body with the fields can have.
func bodyLimit(r *http.Request, fields []Field) int64 {
	most := 4 << 10 // for fields that are ignored, and the headers of parts
	for _, f := range fields {
		most += 256 + 6*f.most() // JSON has escapes of 6 bytes for one
	}
	most = min(most, MaxBody)
	if r.ContentLength < 0 {
		most = min(most, maxUnknown) // more memory is used than the body has bytes
	}
	return int64(most)
}

func tooLarge(w http.ResponseWriter, most int64) error {
	w.Header().Set("Connection", "close") // as http.MaxBytesReader does
	return &authn.Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: fmt.Sprintf("The body is larger than %d bytes.", most)}
}

func invalid(wrong ...authn.Member) *authn.Error {
	return &authn.Error{Status: http.StatusBadRequest, Code: "invalid", Members: wrong}
}

func parseError(what string) *authn.Error {
	return &authn.Error{Status: http.StatusBadRequest, Code: "parse_error", Detail: "Malformed request: " + what + "."}
}

func parse(r *http.Request, body []byte, fields []Field) (map[string]any, error) {
	kind, options := mediaType(r)
	switch kind {
	case "application/json", "":
		return fromJSON(body, fields)
	case "application/x-www-form-urlencoded":
		return fromForm(body, fields)
	case "multipart/form-data":
		return fromMultipart(body, options["boundary"], fields)
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

// pythonType returns the name of a JSON value's type in Python. It is not an object.
func pythonType(value []byte) string {
	switch value[0] {
	case '[':
		return "list"
	case '"':
		return "str"
	case 't', 'f':
		return "bool"
	case 'n':
		return "NoneType"
	}
	if bytes.ContainsAny(value, ".eE") {
		return "float"
	}
	return "int"
}
