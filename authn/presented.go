package authn

import (
	"iter"
	"net/http"
	"slices"
)

// CookieReader is an Authenticator that declares the names of the cookies that carry its
// credentials. A limit of refused credentials (Options.Refusals) then sees these; of a scheme that
// does not declare them it sees no cookies.
type CookieReader interface {
	CredentialCookies() []string
}

// Presented says where a request carries the credentials that a RefusalLimiter decides about: in
// Authorization, in other headers and cookies that the schemes of the chain declare, and in the
// body. It is not modified.
type Presented struct {
	headers, cookies []string
	texts            []string // of the body, or of an answer
}

// presentedTo returns where the credentials of leaves are. A header that a proxy sets holds no
// credential of the client, so one of an Ambient scheme is not among them.
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

// In returns the credentials that r presents, unchecked, each with the name of its header:
// "Cookie" for the value of a cookie, and "" for a credential of the body. If a request has a cookie
// twice, or too many cookies, their value is "".
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

// Any reports whether r presents a credential.
func (p *Presented) Any(r *http.Request) bool {
	for range p.In(r) {
		return true
	}
	return false
}
