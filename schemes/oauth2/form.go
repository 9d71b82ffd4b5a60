package oauth2

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxForm is the longest body of a request, in bytes.
const maxForm = 64 << 10

// form are the parameters of a request to an endpoint of clients.
type form struct{ values url.Values }

// readForm reads the body of a POST: application/x-www-form-urlencoded, each parameter once
// but "resource" (RFC 6749 section 3.2, RFC 8707). Parameters in the URL are refused: URLs
// are logged.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	if r.Method == http.MethodPost && r.URL.RawQuery != "" {
		return form{}, refuse("invalid_request", "Parameters in the URL are not accepted.")
	}
	return readBody(w, r)
}

// readBody is readForm for a page's own form, whose address has the parameters of the page;
// they count for nothing.
func readBody(w http.ResponseWriter, r *http.Request) (form, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return form{}, &Error{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "The request is not a POST."}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return form{}, refuse("invalid_request", "The body is not application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return form{}, &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "The body is too large."}
		}
		return form{}, refuse("invalid_request", "The body could not be read.")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return form{}, errRequest
	}
	if err := checkForm(values); err != nil {
		return form{}, err
	}
	return form{values}, nil
}

// checkForm refuses parameters that come more than once or are no text, and takes out those
// without a value, which count as omitted (RFC 6749 sections 3.1 and 3.2).
func checkForm(values url.Values) error {
	for name, list := range values {
		if len(list) > 1 && name != "resource" {
			return refuse("invalid_request", "A parameter comes more than once.")
		}
		for _, v := range list {
			if !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
				return errRequest
			}
		}
		if list = slices.DeleteFunc(list, func(v string) bool { return v == "" }); len(list) == 0 {
			delete(values, name)
		} else {
			values[name] = list
		}
	}
	return nil
}

// parameters are those in the address of a request to a page. One that can not be read is
// refused: without it the request would be another one, such as one without its state.
func parameters(r *http.Request) (url.Values, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fatally("The request is malformed.")
	}
	return v, fatalOr(checkForm(v))
}

// get returns a parameter, "" if there is none.
func (f form) get(name string) string { return f.values.Get(name) }

// words returns the set of words in a parameter that holds several, such as "scope": in their
// order, each once, however many blanks are between them (RFC 6749 section 3.3).
func words(text string) []string {
	var list []string
	seen := map[string]bool{}
	for word := range strings.SplitSeq(text, " ") {
		if word != "" && !seen[word] {
			list, seen[word] = append(list, word), true
		}
	}
	return list
}
