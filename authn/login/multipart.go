package login

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/internal/params"
)

var errMultipart = parseError("the body is no multipart form")

// fromMultipart reads multipart/form-data (RFC 7578), which is what browsers send for a
// FormData object. The body is in memory already and its parts are not stored anywhere else. A
// field that was sent as a file is there, but is no text.
func fromMultipart(body []byte, boundary string) (map[string]any, error) {
	if boundary == "" || len(boundary) > 70 { // RFC 2046, section 5.1.1
		return nil, errMultipart
	}
	texts := make(map[string]any)
	parts := multipart.NewReader(bytes.NewReader(withoutMark(body)), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) && err == io.EOF {
			return texts, nil
		}
		if err != nil || n >= params.Most {
			return nil, errMultipart
		}
		disposition, options, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		name, named := options["name"]
		if err != nil || disposition != "form-data" || !named {
			return nil, errMultipart
		}
		switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
		case "", "7bit", "8bit", "binary":
		default: // no browser sends it (RFC 7578, section 4.7), and a password must not be read in two ways
			return nil, errMultipart
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return nil, errMultipart
		}
		if !utf8.ValidString(name) || !utf8.Valid(text) {
			return nil, parseError("the body is not UTF-8")
		}
		texts[name] = string(text)
		if filename, isFile := options["filename"]; isFile {
			if texts[name] = any(file{}); filename == "" { // a file input without a file
				delete(texts, name)
			}
		}
	}
}
