package credential

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// Shape distinguishes a scheme's tokens from other texts. [Format] implements it.
type Shape interface {
	// Valid reports whether text is a token of the scheme.
	Valid(text string) bool
	// Fits reports whether text may be Valid. It must be fast.
	Fits(text string) bool
	// HasPrefix reports whether text has the prefix of the scheme's tokens, even if it is not
	// Valid.
	HasPrefix(text string) bool
	// Claim returns the format of the tokens with a keyword of Authorization.
	Claim(keyword string) authn.CredentialFormat
}

// HeaderOptions configure a [Header]. nil means the defaults.
type HeaderOptions struct {
	// Realm is the realm in the challenge. "" means none.
	Realm string
	// Kind is the name of the credentials in error messages, as in "Invalid token header.". ""
	// means "token".
	Kind string
	// Detail is the public text of every rejection. "" means "Invalid token.".
	Detail string
}

// Header reads a scheme's tokens from a request. It also implements optional methods of an
// authenticator: Headers, Formats and Challenge. It is safe for concurrent use.
type Header struct {
	field     string // "" means Authorization
	keywords  []string
	shape     Shape
	realm     string
	kind      string
	challenge string
	bearer    bool

	invalid      *authn.Error
	unrecognized error
}

// NewHeader returns a Header for tokens in Authorization with one of the keywords. The challenge
// contains the first keyword. If that is "Bearer", the challenge follows RFC 6750. opts can be nil.
//
// It returns an error if there is no keyword, or if a keyword is invalid or occurs twice. It also
// returns an error if shape is nil or the realm is invalid.
func NewHeader(keywords []string, shape Shape, opts *HeaderOptions) (*Header, error) {
	if len(keywords) == 0 {
		return nil, errors.New("credential: NewHeader: no keyword (at least one)")
	}
	for i, k := range keywords {
		if err := CheckKeyword(k); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(keywords[:i], func(other string) bool { return strings.EqualFold(k, other) }) {
			return nil, fmt.Errorf("credential: NewHeader: keyword %q occurs twice", k)
		}
	}
	h, err := newHeader(shape, opts)
	if err != nil {
		return nil, err
	}
	h.keywords = slices.Clone(keywords)
	h.challenge = Challenge(keywords[0], h.realm)
	h.bearer = strings.EqualFold(keywords[0], "Bearer")
	return h, nil
}

// NewField returns a Header for tokens in a separate header, such as "X-Api-Key". The whole value
// of the header is the token. keyword is the keyword in the challenge. If it is "", the scheme has
// no challenge, and a chain of only such schemes responds with 403. opts can be nil.
//
// It returns an error if name is not in canonical form, is Authorization or Cookie, or contains
// characters other than letters, digits and "-". The other errors are the errors of [NewHeader].
func NewField(name, keyword string, shape Shape, opts *HeaderOptions) (*Header, error) {
	if !IsName(name) || strings.Contains(name, "_") || textproto.CanonicalMIMEHeaderKey(name) != name || name == "Authorization" || name == "Cookie" {
		if form := textproto.CanonicalMIMEHeaderKey(name); form != name && IsName(name) {
			return nil, fmt.Errorf("credential: NewField: header %q is not in canonical form (%s; clients can send any case)", name, form)
		}
		return nil, fmt.Errorf("credential: NewField: header %q is invalid (a separate header in canonical form, such as X-Api-Key)", name)
	}
	h, err := newHeader(shape, opts)
	if err != nil {
		return nil, err
	}
	h.field = name
	if keyword != "" {
		if err := CheckKeyword(keyword); err != nil {
			return nil, err
		}
		h.challenge = Challenge(keyword, h.realm)
	}
	return h, nil
}

func newHeader(shape Shape, opts *HeaderOptions) (*Header, error) {
	var o HeaderOptions
	if opts != nil {
		o = *opts
	}
	if shape == nil {
		return nil, errors.New("credential: NewHeader: shape must be set")
	}
	if err := CheckRealm(o.Realm); err != nil {
		return nil, err
	}
	h := &Header{shape: shape, realm: o.Realm, kind: o.Kind}
	if h.kind == "" {
		h.kind = "token"
	}
	if o.Detail == "" {
		o.Detail = "Invalid token."
	}
	h.invalid = authn.AuthenticationFailed(o.Detail)
	h.unrecognized = authn.Unrecognized(h.invalid.WithCause(errShape))
	return h, nil
}

var (
	errShape     = errors.New("not in the format of a token")
	errMalformed = errors.New("malformed token")
)

// Headers returns the name of the header.
func (h *Header) Headers() []string {
	if h.field != "" {
		return []string{h.field}
	}
	return []string{"Authorization"}
}

// Formats returns the format of the tokens for each keyword, and none for a separate header.
func (h *Header) Formats() []authn.CredentialFormat {
	claims := make([]authn.CredentialFormat, len(h.keywords))
	for i, k := range h.keywords {
		claims[i] = h.shape.Claim(k)
	}
	return claims
}

// Challenge returns the WWW-Authenticate value for a request that was rejected with err.
func (h *Header) Challenge(_ *http.Request, err error) string {
	if !h.bearer {
		return h.challenge
	}
	return authn.BearerChallenge{Keyword: h.keywords[0], Realm: h.realm, Invalid: h.invalid.Code}.For(err)
}

// Read returns the token of the request. It only checks the format. Next, look up the token by its
// digest.
//
// It returns [authn.ErrNoCredentials] if there is no token, [authn.ErrUnrecognized] for a text that
// may belong to another scheme, and an [*authn.Error] for several headers or a malformed token.
func (h *Header) Read(r *http.Request) (string, error) {
	if h.field != "" {
		return h.fromField(r.Header[h.field])
	}
	for _, keyword := range h.keywords {
		text, err := authn.Credentials(r, keyword, h.kind)
		if err == authn.ErrNoCredentials {
			continue
		}
		if err != nil {
			return "", err
		}
		return h.check(text)
	}
	return "", authn.ErrNoCredentials
}

func (h *Header) fromField(lines []string) (string, error) {
	switch {
	case len(lines) == 0:
		return "", authn.ErrNoCredentials
	case len(lines) > 1:
		return "", authn.BadRequest("The request has more than one " + h.field + " header.")
	case len(lines[0]) > authn.MaxCredential:
		return "", h.Reject(errMalformed)
	}
	return h.check(strings.Trim(lines[0], " \t"))
}

func (h *Header) check(text string) (string, error) {
	switch {
	case h.shape.Valid(text):
		return text, nil
	case h.shape.HasPrefix(text):
		return "", h.Reject(errMalformed)
	}
	return "", h.unrecognized
}

// Presented returns the text that may be a token of the scheme, or "". Use it as the method
// Presented of an [authn.Keeper] if the result of the scheme depends only on the token.
func (h *Header) Presented(r *http.Request) (text string, guessable bool) {
	if h.field != "" {
		if lines := r.Header[h.field]; len(lines) == 1 && h.shape.Fits(lines[0]) {
			return lines[0], false
		}
		return "", false
	}
	for _, keyword := range h.keywords {
		if text := authn.RawCredentials(r, keyword); h.shape.Fits(text) {
			return text, false
		}
	}
	return "", false
}

// Reject returns the 401 with which the scheme rejects every invalid token. The client must not
// learn the reason, so cause is only logged. It must not contain a secret. cause can be nil.
func (h *Header) Reject(cause error) *authn.Error {
	if cause == nil {
		return h.invalid
	}
	return h.invalid.WithCause(cause)
}
