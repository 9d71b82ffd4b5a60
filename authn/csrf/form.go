package csrf

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/params"
)

// IsForeignForm reports whether a page of another site made a browser send r without a preflight
// request: a form, or a script's POST that looks like one. The page cannot read the answer, but
// passwords in it would be guesses from the visitor's own address, and use up the visitor's limits.
//
// Use it for endpoints that read no cookie, where [Site.Check] is not called, before anything is
// counted. answer are the headers of the answer: an origin that a CORS handler in front has allowed
// (Access-Control-Allow-Origin) is not foreign.
//
// A request with DPoP or Authorization, or with a body that is neither a form nor plain text,
// needs a preflight request (Fetch standard, section 4.8), so CORS rules decide about it. This does
// not hold for Basic, Digest, Negotiate and NTLM, which browsers send by themselves. Another
// site is what Sec-Fetch-Site says. Without it, as over plain http, Origin is compared with Host;
// hosts with the same last two labels are taken for one site. Clients that are not browsers send
// neither header.
func IsForeignForm(answer http.Header, r *http.Request) bool {
	if r.Method != http.MethodPost || !formType(r, true) || !authn.FromAnotherSite(r) {
		return false
	}
	allowed := answer.Get("Access-Control-Allow-Origin")
	return allowed == "" || allowed != "*" && allowed != r.Header.Get("Origin")
}

// formType reports a body of a kind that any site's form, or script without a preflight request,
// can send. none is the answer for a body without a type.
func formType(r *http.Request, none bool) bool {
	kinds := r.Header["Content-Type"]
	switch len(kinds) {
	case 0:
		return none
	case 1:
		kind, _, err := params.MediaType(kinds[0])
		return err != nil || kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data" || kind == "text/plain"
	}
	return true // no telling which of several counts
}
