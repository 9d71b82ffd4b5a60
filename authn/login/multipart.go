package login

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/internal/params"
)

const (
	maxParts       = 32
	maxHeaders     = 8       // per part; browsers send two
	maxHead        = 2 << 10 // bytes of all headers of a part
	maxDisposition = 1 << 10 // bytes; a file name has at most 255 characters
	maxOptions     = 8       // semicolons in a Content-Disposition, including those in a file name
)

var errMultipart = parseError("the body is no multipart form")

// fromMultipart parses multipart/form-data (RFC 7578), which browsers send for a FormData object.
// The body is already in memory, and its parts are stored nowhere else. A field that was sent as a
// file is present but has no text value.
//
// The numbers of parts, headers of a part and parameters of a header are limited, because each
// needs much more memory than its length. Without limits, a body of 64 KiB would need megabytes.
func fromMultipart(body []byte, boundary string, fields []Field) (map[string]any, error) {
	if boundary == "" || len(boundary) > 70 { // RFC 2046, section 5.1.1
		return nil, errMultipart
	}
	body = withoutMark(body)
	if !fewHeaders(body, boundary) {
		return nil, errMultipart
	}
	texts := make(map[string]any)
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) && err == io.EOF {
			return texts, nil
		}
		if err != nil || n >= maxParts {
			return nil, errMultipart
		}
		header := part.Header.Get("Content-Disposition")
		if len(header) > maxDisposition || strings.Count(header, ";") > maxOptions {
			return nil, errMultipart
		}
		disposition, options, err := mime.ParseMediaType(header)
		name, named := options["name"]
		if err != nil || disposition != "form-data" || !named {
			return nil, errMultipart
		}
		switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
		case "", "7bit", "8bit", "binary":
		default: // no browser sends it (RFC 7578, section 4.7), and a password must have only one interpretation
			return nil, errMultipart
		}
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			continue
		}
		if filename, isFile := options["filename"]; isFile {
			if texts[name] = any(file{}); filename == "" { // a file input without a file
				delete(texts, name)
			}
			continue
		}
		text, err := params.Body(io.LimitReader(part, int64(fields[i].most()+maxSpace+1)), -1)
		switch {
		case err != nil:
			return nil, errMultipart
		case !fields[i].fits(len(text)):
			texts[name] = tooLong{}
		case !utf8.Valid(text):
			return nil, parseError("the body is not UTF-8")
		default:
			texts[name] = string(text)
		}
	}
}

// fewHeaders reports whether each part of a body has few and short headers. It checks the lines
// after each boundary, up to an empty line, before they are parsed.
func fewHeaders(body []byte, boundary string) bool {
	mark := []byte("--" + boundary)
	for n := 0; n <= maxParts; n++ { // the last boundary ends the body
		i := bytes.Index(body, mark)
		if i < 0 {
			return true
		}
		body = body[i+len(mark):]
		head := body[:min(len(body), maxHead)]
		for lines := 0; ; lines++ {
			line, more, found := bytes.Cut(head, []byte("\n"))
			if !found && len(body) > maxHead || lines > maxHeaders {
				return false
			}
			if !found || lines > 0 && len(bytes.TrimSuffix(line, []byte("\r"))) == 0 {
				break
			}
			head = more
		}
	}
	return !bytes.Contains(body, mark)
}
