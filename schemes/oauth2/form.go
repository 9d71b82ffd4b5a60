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

const (
	// maxForm is the longest body that is read, maxBody the longest that is worth a word on what
	// is wrong with it, in bytes.
	maxForm = 16 << 10
	maxBody = 64 << 10
	// maxQuery is the longest query of a page's address that is taken apart, maxNext the longest
	// that goes to the login page and back.
	maxQuery = 64 << 10
	maxNext  = 8 << 10
	// maxParameters is how many parameters a request may have: each costs more memory than its
	// length shows.
	maxParameters = 64
)

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
	if r.ContentLength > maxForm && r.ContentLength <= maxBody {
		return form{}, refuse("invalid_request", "The request is too long.")
	}
	body, err := readAll(w, r, maxForm)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return form{}, &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "The body is too large."}
		}
		return form{}, refuse("invalid_request", "The body could not be read.")
	}
	values, err := parseQuery(body)
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

// readAll reads a body of at most so many bytes. It reserves what the request announces, and
// never more than that twice.
func readAll(w http.ResponseWriter, r *http.Request, most int64) (string, error) {
	var b strings.Builder
	if n := r.ContentLength; n > 0 && n <= most {
		b.Grow(int(n))
	}
	body := http.MaxBytesReader(w, r.Body, most)
	var buf [1024]byte
	for {
		n, err := body.Read(buf[:])
		b.Write(buf[:n])
		switch {
		case errors.Is(err, io.EOF):
			return b.String(), nil
		case err != nil:
			return "", err
		}
	}
}

// parseQuery parses at most maxParameters parameters.
func parseQuery(text string) (url.Values, error) {
	if strings.Count(text, "&") >= maxParameters {
		return nil, errors.New("too many parameters")
	}
	return url.ParseQuery(text)
}

var errLong = &Error{Status: http.StatusRequestURITooLong, Code: "invalid_request", Description: "The request is too long."}

// longQuery refuses an address that is too long to be taken apart.
func longQuery(r *http.Request) error {
	if len(r.URL.RawQuery) > maxQuery || strings.Count(r.URL.RawQuery, "&") >= maxParameters {
		return fatal{errLong}
	}
	return nil
}

// parameters are those in the address of a request to a page. One that can not be read is
// refused: without it the request would be another one, such as one without its state.
func parameters(r *http.Request) (url.Values, error) {
	if err := longQuery(r); err != nil {
		return nil, err
	}
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
