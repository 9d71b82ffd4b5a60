package oauth2

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/internal/params"
)

const (
	// maxForm is the maximum length of a body, in bytes. For a longer body the response describes
	// the error if Content-Length is at most maxBody.
	maxForm = 16 << 10
	maxBody = 64 << 10
	// maxQuery is the maximum length of a page's query, in bytes.
	maxQuery = 64 << 10
	// maxParameters is the maximum number of parameters of a request. It is limited because each
	// parameter uses more memory than its length.
	maxParameters = 64
)

// Form holds the parameters of a request.
type Form struct{ Values url.Values }

// Get returns a parameter; "" if it is absent.
func (f Form) Get(name string) string { return f.Values.Get(name) }

// ReadForm reads the body of a POST to a client endpoint, in the format
// application/x-www-form-urlencoded. Each parameter except "resource" may appear once (RFC 6749,
// section 3.2; RFC 8707). It rejects parameters in the URL, because URLs are logged. The error is
// an *Error.
func ReadForm(w http.ResponseWriter, r *http.Request) (Form, error) {
	if r.Method == http.MethodPost && r.URL.RawQuery != "" {
		return Form{}, NewError("invalid_request", "Parameters in the URL are not accepted.")
	}
	return ReadPageForm(w, r)
}

// ReadPageForm is [ReadForm] for the form of a page. It ignores parameters in the URL.
func ReadPageForm(w http.ResponseWriter, r *http.Request) (Form, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return Form{}, &Error{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "The request is not a POST."}
	}
	if !isForm(r) {
		return Form{}, NewError("invalid_request", "The body is not application/x-www-form-urlencoded.")
	}
	if r.ContentLength > maxForm && r.ContentLength <= maxBody {
		return Form{}, NewError("invalid_request", "The request is too long.")
	}
	body, err := ReadBody(w, r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return Form{}, &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "The body is too large."}
		}
		return Form{}, NewError("invalid_request", "The body could not be read.")
	}
	values, err := parseQuery(body)
	if err != nil {
		return Form{}, errRequest
	}
	if err := CheckParameters(values); err != nil {
		return Form{}, err
	}
	return Form{values}, nil
}

// ReadRawForm reads the body of a POST as a form and does not check its parameters. It also returns
// the body, so that a handler can pass it on. The error is an *Error for a page.
func ReadRawForm(w http.ResponseWriter, r *http.Request) (body string, values url.Values, err error) {
	if !isForm(r) {
		return "", nil, PageError("The body is not application/x-www-form-urlencoded.")
	}
	if body, err = ReadBody(w, r); err != nil {
		return "", nil, PageError("The body is too large, or could not be read.")
	}
	if values, err = parseQuery(body); err != nil {
		return "", nil, PageError("The request is malformed.")
	}
	return body, values, nil
}

func isForm(r *http.Request) bool {
	kind, _, err := params.MediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

// ReadQuery returns the query parameters of a request to a page. It returns an error if a parameter
// cannot be decoded, because a request without that parameter, such as "state", would have another
// meaning. The error is an *Error for a page.
func ReadQuery(r *http.Request) (url.Values, error) {
	if err := CheckQuery(r); err != nil {
		return nil, err
	}
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, PageError("The request is malformed.")
	}
	return v, OnPage(CheckParameters(v))
}

// ErrLong rejects a URL that is too long.
var ErrLong = &Error{Status: http.StatusRequestURITooLong, Code: "invalid_request", Description: "The request is too long.", NoRedirect: true}

// CheckQuery returns ErrLong if the query of a page is too long to be parsed, and nil otherwise.
func CheckQuery(r *http.Request) error {
	if len(r.URL.RawQuery) > maxQuery || strings.Count(r.URL.RawQuery, "&") >= maxParameters {
		return ErrLong
	}
	return nil
}

// CheckParameters returns an error if a parameter other than "resource" appears more than once, or
// if a value is not text. It removes parameters without a value, which count as omitted (RFC 6749,
// sections 3.1 and 3.2). The error is an *Error.
func CheckParameters(values url.Values) error {
	for name, list := range values {
		if len(list) > 1 && name != "resource" {
			return NewError("invalid_request", "A parameter appears more than once.")
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

// ReadBody reads a body of at most 16 KiB. For a longer one it returns an *http.MaxBytesError. It
// allocates at most twice the Content-Length.
func ReadBody(w http.ResponseWriter, r *http.Request) (string, error) {
	var b strings.Builder
	if n := r.ContentLength; n > 0 && n <= maxForm {
		b.Grow(int(n))
	}
	body := http.MaxBytesReader(w, r.Body, maxForm)
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
