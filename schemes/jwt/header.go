package jwt

import (
	"errors"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
)

// checkHeader returns an error if Header cannot be the header of a proxy.
func (o *VerifierOptions) checkHeader() error {
	name := o.Header
	if name == "Authorization" {
		o.Header = ""
	}
	switch {
	case o.Header == "" && o.Site != nil:
		return mistake("Site requires Header (a bearer token needs no check of the origin)")
	case o.Header == "" && o.Padded:
		return mistake("Padded requires Header (a padded token is no bearer token, RFC 6750)")
	case o.Header == "":
		return nil
	}
	ok := textproto.CanonicalMIMEHeaderKey(name) == name
	for _, c := range []byte(name) {
		// Some servers treat "_" and "-" as the same, so a client could send a spelling that the
		// proxy does not remove.
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-')
	}
	switch name {
	case "Proxy-Authorization", "Cookie", "Host", "Connection", "Forwarded", "Origin", "Referer", "Upgrade", "Via":
		ok = false
	}
	for _, prefix := range []string{"Sec-", "Content-", "Accept", "If-", "Access-Control-", "X-Forwarded-"} {
		ok = ok && !strings.HasPrefix(name, prefix)
	}
	if !ok {
		return mistake("Header %q is reserved or not in canonical form (such as Cf-Access-Jwt-Assertion)", name)
	}
	return nil
}

// credentials returns the text of the token in a request.
func (v *Verifier) credentials(r *http.Request) (string, error) {
	if v.opts.Header == "" {
		return authn.Credentials(r, "Bearer", "token")
	}
	lines := r.Header[v.opts.Header]
	switch {
	case len(lines) == 0:
		return "", authn.ErrNoCredentials
	case len(lines) > 1:
		return "", errSeveral
	case lines[0] == "":
		return "", authn.ErrNoCredentials
	case len(lines[0]) > authn.MaxCredential:
		return "", v.invalid.WithCause(errors.New("the token is too long"))
	}
	return lines[0], v.sameSite(r)
}

var errSeveral = authn.BadRequest("The request has more than one header with a token.").WithCause(errors.New("several headers with a token"))

// sameSite rejects an unsafe request that another site may have caused. The proxy adds its header
// to every request of a browser with its cookie.
func (v *Verifier) sameSite(r *http.Request) error {
	check := csrf.SameOrigin
	if v.opts.Site != nil {
		check = v.opts.Site.Check
	}
	if err := check(r); err != nil {
		return err
	}
	if csrf.NeedsToken(r) {
		return authn.PermissionDenied("CSRF Failed: the request does not say where it comes from.")
	}
	return nil
}

// Ambient reports whether the token comes in the header of a proxy (VerifierOptions.Header). See
// [authn.Ambient].
func (v *Verifier) Ambient() bool { return v.opts.Header != "" }

// Headers returns the header with the token: "Authorization", or VerifierOptions.Header.
func (v *Verifier) Headers() []string {
	if v.opts.Header != "" {
		return []string{v.opts.Header}
	}
	return []string{"Authorization"}
}

// keyword returns the keyword for the formats of the verifier. For another header it is a text that
// no keyword equals.
func (v *Verifier) keyword() string {
	if v.opts.Header != "" {
		return v.opts.Header + ":"
	}
	return "Bearer"
}
