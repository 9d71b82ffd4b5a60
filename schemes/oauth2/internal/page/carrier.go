package page

import (
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// MaxAddress is the maximum length of the path and query in a redirect to a page, in bytes.
const MaxAddress = 8 << 10

// secretParameters must not be put into a URL. A request with one of them is rejected.
var secretParameters = []string{"client_secret", "client_assertion", "username", "password"}

// Carrier is a page that accepts its request by GET and by POST (OpenID Connect Core, section
// 3.1.2.1; RP-Initiated Logout, section 2). A POST that is not the form of the page itself is
// redirected to the page as a GET (303), before authentication: browsers send no Lax cookie with a
// POST from another site, and a request with a cookie would be rejected. Another site could send
// the GET itself, so this gives an attacker nothing.
type Carrier struct {
	// Endpoint is the configured URL of the page, because the URL of the request could name another
	// host. "" rejects requests by POST.
	Endpoint string
	// Parameters are the parameters that are carried over. Others are ignored (RFC 6749, section
	// 3.1).
	Parameters []string
	// Read reads the body as a form, and Check checks the parameters.
	Read  func(http.ResponseWriter, *http.Request) (body string, values url.Values, err error)
	Check func(url.Values) error
	// Seal encrypts an "id_token_hint", because it identifies a person and URLs are stored in
	// histories and logs.
	Seal func(hint string) (string, error)
	// Refuse returns an error for the page.
	Refuse func(description string) error
	Log    *slog.Logger
	Next   http.Handler
}

// ServeHTTP implements [http.Handler].
func (c *Carrier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, ok := r.Body.(*readAhead); !ok { // no outer middleware called Preempt
		var done bool
		if r, done = c.Preempt(w, r); done {
			return
		}
	}
	c.Next.ServeHTTP(w, r)
}

// Preempt implements authn.Preempter.
func (c *Carrier) Preempt(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	if r.Method != http.MethodPost {
		return r, false
	}
	body, v, err := c.Read(w, r)
	if err == nil && (v.Get("handle") != "" || v.Get("decision") != "") { // the form of the page itself
		again := *r
		again.Body = &readAhead{strings.NewReader(body), r.Body}
		return &again, false
	}
	var to string
	if err == nil {
		to, err = c.carried(r, v)
	}
	if err != nil {
		Error(w, r, err, c.Log)
		return r, true
	}
	Redirect(w, to)
	return r, true
}

// carried returns the URL to which a request by POST is redirected.
func (c *Carrier) carried(r *http.Request, v url.Values) (string, error) {
	if c.Endpoint == "" {
		return "", c.Refuse("The endpoint has no address.")
	}
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return "", c.Refuse("A request by POST has its parameters in the body alone.")
	}
	if err := c.Check(v); err != nil {
		return "", err
	}
	for _, name := range secretParameters {
		if v.Has(name) {
			return "", c.Refuse("The request holds a secret that has no place in it.")
		}
	}
	size := 0
	for name, values := range v {
		if !slices.Contains(c.Parameters, name) {
			delete(v, name)
			continue
		}
		for _, value := range values {
			size += len(name) + len("=&") + escaped(value)
		}
	}
	if size > MaxAddress+len("&") { // before anything is encrypted or written
		return "", c.Refuse("The request is too long.")
	}
	if hint := v.Get("id_token_hint"); hint != "" {
		sealed, err := c.Seal(hint)
		if err != nil {
			return "", err
		}
		v.Set("id_token_hint", sealed)
	}
	query := "?" + v.Encode()
	if u, err := url.Parse(c.Endpoint); err != nil || len(u.EscapedPath())+len(query) > MaxAddress {
		return "", c.Refuse("The request is too long.")
	}
	return c.Endpoint + query, nil
}

// escaped returns the length of a value in a query.
func escaped(value string) int {
	n := len(value)
	for i := range len(value) {
		switch c := value[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~ ", c) >= 0:
		default:
			n += 2
		}
	}
	return n
}

// readAhead is a body that was read and put back.
type readAhead struct {
	io.Reader
	io.Closer
}
