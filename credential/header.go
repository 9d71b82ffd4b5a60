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

// Shape tells a scheme's tokens from other texts. [Format] is one.
type Shape interface {
	// Valid reports whether text is a token of the scheme.
	Valid(text string) bool
	// Fits reports cheaply whether text may be Valid.
	Fits(text string) bool
	// HasPrefix reports whether text claims to be one, Valid or not.
	HasPrefix(text string) bool
	// Claim returns the scheme's claim under a keyword of Authorization.
	Claim(keyword string) authn.CredentialFormat
}

// HeaderOptions change a Header; nil is fine.
type HeaderOptions struct {
	// Realm is named in the challenge if it is not "".
	Realm string
	// Kind names the credential in error messages, as in "Invalid token header."; "token" if
	// "".
	Kind string
	// Detail is the public text of every rejection; "Invalid token." if "".
	Detail string
}

// Header reads a scheme's tokens from a request. It also has what the optional methods of an
// authenticator return: Headers, Formats and Challenge. It is safe for concurrent use.
type Header struct {
	field     string // "" is Authorization
	keywords  []string
	shape     Shape
	realm     string
	kind      string
	challenge string
	bearer    bool

	invalid      *authn.Error
	unrecognized error
}

// NewHeader returns a Header for tokens in Authorization, under any of the keywords. The
// challenge names the first. Under "Bearer" the challenge follows RFC 6750. It returns an
// error without a keyword, for one that is not valid or there twice, and for a realm that is
// not valid.
func NewHeader(keywords []string, shape Shape, opts *HeaderOptions) (*Header, error) {
	if len(keywords) == 0 {
		return nil, errors.New("credential: NewHeader: no keyword")
	}
	for i, k := range keywords {
		if err := CheckKeyword(k); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(keywords[:i], func(other string) bool { return strings.EqualFold(k, other) }) {
			return nil, fmt.Errorf("credential: NewHeader: keyword %q is there twice", k)
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

// NewField returns a Header for tokens in a header field of their own, such as "X-Api-Key".
// The whole value is the token. The field has no keyword, so keyword is only the one that the
// challenge names; without it (""), the scheme has no challenge, and a chain of such schemes
// answers 403. It returns an error for a name that is not in canonical form, is Authorization
// or Cookie, or has other characters than letters, digits and "-".
func NewField(name, keyword string, shape Shape, opts *HeaderOptions) (*Header, error) {
	if !IsName(name) || strings.Contains(name, "_") || textproto.CanonicalMIMEHeaderKey(name) != name || name == "Authorization" || name == "Cookie" {
		return nil, fmt.Errorf("credential: NewField: header %q is not valid (one of its own in canonical form, such as X-Api-Key)", name)
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
		return nil, errors.New("credential: NewHeader: no shape")
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
	errMalformed = errors.New("malformed")
)

// Headers returns the name of the header.
func (h *Header) Headers() []string {
	if h.field != "" {
		return []string{h.field}
	}
	return []string{"Authorization"}
}

// Formats returns the keywords, each with the shape of the tokens; none for a header of its own.
func (h *Header) Formats() []authn.CredentialFormat {
	claims := make([]authn.CredentialFormat, len(h.keywords))
	for i, k := range h.keywords {
		claims[i] = h.shape.Claim(k)
	}
	return claims
}

// Challenge returns the WWW-Authenticate value for a request that err rejected.
func (h *Header) Challenge(_ *http.Request, err error) string {
	if !h.bearer {
		return h.challenge
	}
	return authn.BearerChallenge{Keyword: h.keywords[0], Realm: h.realm, Invalid: h.invalid.Code}.For(err)
}

// Read returns the token of the request. It checks the format only: look the token up by its
// digest next.
//
// It returns authn.ErrNoCredentials if there is none, authn.ErrUnrecognized for a text that may
// be another scheme's, and an *authn.Error for several headers or a malformed token.
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

// Presented returns the text that may be a token of the scheme, or "". It is the method Presented
// of an authn.Keeper for a scheme whose result depends on nothing but the token.
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

// Reject returns the 401 that the scheme answers for every token that it does not accept. The
// client must not learn why, so cause, which must not hold a secret, goes to the log only. A
// nil cause is fine.
func (h *Header) Reject(cause error) *authn.Error {
	if cause == nil {
		return h.invalid
	}
	return h.invalid.WithCause(cause)
}
