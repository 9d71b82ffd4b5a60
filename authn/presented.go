package authn

import (
	"iter"
	"net/http"
	"slices"
)

// CookieReader is an [Authenticator] that declares the names of the cookies that hold its
// credentials. A limit of rejected credentials (Options.Refusals) then includes these cookies.
// Cookies of a scheme that does not implement CookieReader are not limited.
type CookieReader interface {
	CredentialCookies() []string
}

// Presented finds the credentials of a request for a [RefusalLimiter]: in Authorization, in the
// other headers and cookies that the schemes of the chain declare, and in the body. It is immutable
// and safe for concurrent use.
type Presented struct {
	headers, cookies []string
	texts            []string // from the body or from a response
}

// presentedTo returns the places of the credentials of leaves. The headers of an Ambient scheme are
// omitted, because a header that a proxy sets contains no credentials of the client.
func presentedTo(leaves ...leaf) *Presented {
	p := &Presented{headers: []string{"Authorization"}}
	for _, l := range leaves {
		if c, ok := AbilityOf[CookieReader](l.Authenticator); ok {
			p.cookies = append(p.cookies, c.CredentialCookies()...)
		}
		for _, h := range l.reads {
			if h != "Cookie" && !l.isAmbient() && !slices.Contains(p.headers, h) {
				p.headers = append(p.headers, h)
			}
		}
	}
	return p
}

// In returns the credentials of r, unchecked. The key is the name of the header, "Cookie" for the
// value of a cookie, or "" for credentials in the body. If a request has a cookie twice or its
// cookies are too long, the value is "".
func (p *Presented) In(r *http.Request) iter.Seq2[string, string] {
	return func(yield func(name, text string) bool) {
		for _, name := range p.headers {
			for _, text := range r.Header[name] {
				if !yield(name, text) {
					return
				}
			}
		}
		for _, name := range p.cookies {
			if text, err := Cookie(r, name); err != ErrNoCredentials && !yield("Cookie", text) {
				return
			}
		}
		for _, text := range p.texts {
			if !yield("", text) {
				return
			}
		}
	}
}

// Any reports whether r has credentials.
func (p *Presented) Any(r *http.Request) bool {
	for range p.In(r) {
		return true
	}
	return false
}
