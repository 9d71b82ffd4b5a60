package oauth2

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The parameters that a request by POST carries over into the query. Others are ignored, as
// RFC 6749 section 3.1 has it.
var (
	authorizeParameters = []string{
		"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "response_mode", "prompt", "max_age",
		"id_token_hint", "login_hint", "ui_locales", "acr_values", "display", "claims", "claims_locales", "request", "request_uri", "resource", "dpop_jkt",
	}
	logoutParameters = []string{"id_token_hint", "logout_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"}
)

// secretParameters must not reach an address: a request with one of them is a mistake.
var secretParameters = []string{"client_secret", "client_assertion", "username", "password"}

// carrier is an endpoint that takes requests by GET and by POST (OpenID Connect Core section
// 3.1.2.1, RP-Initiated Logout section 2). A POST, unless it is the form of its own page, is
// sent to the endpoint again as a GET (303), before anybody is authenticated: a POST of
// another site has no Lax cookie, and with one it would be refused. A GET of another site may
// do the same, so nothing is gained by it.
type carrier struct {
	s          *Server
	endpoint   string // the configured URL: that of the request could name another host
	parameters []string
	next       http.Handler
}

func (c *carrier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, ok := r.Body.(*readAhead); !ok { // no middleware in front called Preempt
		var done bool
		if r, done = c.Preempt(w, r); done {
			return
		}
	}
	c.next.ServeHTTP(w, r)
}

// Preempt implements [authn.Preempter].
func (c *carrier) Preempt(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	if r.Method != http.MethodPost {
		return r, false
	}
	body, v, err := readAnyForm(w, r)
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
		c.s.page(w, r, err)
		return r, true
	}
	redirect(w, to)
	return r, true
}

// carried is where a request by POST goes on.
func (c *carrier) carried(r *http.Request, v url.Values) (string, error) {
	if c.endpoint == "" {
		return "", fatally("The endpoint has no address.")
	}
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return "", fatally("A request by POST has its parameters in the body alone.")
	}
	if err := checkForm(v); err != nil {
		return "", fatalOr(err)
	}
	for _, name := range secretParameters {
		if v.Has(name) {
			return "", fatally("The request holds a secret that has no place in it.")
		}
	}
	for name := range v {
		if !slices.Contains(c.parameters, name) {
			delete(v, name)
		}
	}
	if hint := v.Get("id_token_hint"); hint != "" {
		sealed, err := c.s.sealHint(hint, hintTTL)
		if err != nil {
			return "", err
		}
		v.Set("id_token_hint", sealed)
	}
	to := c.endpoint + "?" + v.Encode()
	if len(to)-len(originOf(c.endpoint)) > maxNext {
		return "", fatally("The request is too long.")
	}
	return to, nil
}

// readAhead is a body that was read and put back.
type readAhead struct {
	io.Reader
	io.Closer
}

// readAnyForm reads the body of a POST as a form, without judging its parameters.
func readAnyForm(w http.ResponseWriter, r *http.Request) (string, url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return "", nil, fatally("The body is not application/x-www-form-urlencoded.")
	}
	body, err := readAll(w, r, maxForm)
	if err != nil {
		return "", nil, fatally("The body is too large, or could not be read.")
	}
	v, err := parseQuery(body)
	if err != nil {
		return "", nil, fatally("The request is malformed.")
	}
	return body, v, nil
}
