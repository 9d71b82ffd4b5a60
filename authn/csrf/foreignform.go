package csrf

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/params"
)

// IsForeignForm reports whether a page of another site made a browser send r without a preflight
// request: by a form, or by a script's POST in the format of a form. Use it for login endpoints
// that read no cookie and therefore do not call [Site.Check]. The page cannot read the response,
// but its passwords would count as attempts from the visitor's address and use up the visitor's
// limits. Call it before an attempt is counted.
//
// answer holds the headers of the response. An origin that a CORS handler has allowed
// (Access-Control-Allow-Origin) is not foreign.
//
// Requests with DPoP, with Authorization, or with a body that is neither a form nor plain text are
// not foreign forms. For these, browsers send a preflight request first (Fetch standard, section
// 4.8), and CORS rules decide. Authorization with Basic, Digest, Negotiate or NTLM does not count,
// because browsers send these automatically.
//
// Sec-Fetch-Site shows whether the page belongs to another site. If it is missing, as over plain
// http, Origin is compared with Host, and hosts with the same last two labels count as one site.
// Clients that are not browsers send neither header.
func IsForeignForm(answer http.Header, r *http.Request) bool {
	if r.Method != http.MethodPost || !formType(r, true) || !authn.FromAnotherSite(r) {
		return false
	}
	allowed := answer.Get("Access-Control-Allow-Origin")
	return allowed == "" || allowed != "*" && allowed != r.Header.Get("Origin")
}

// formType reports whether the body has a type that a form of any site, or a script without a
// preflight request, can send. It returns none for a body without a type.
func formType(r *http.Request, none bool) bool {
	kinds := r.Header["Content-Type"]
	switch len(kinds) {
	case 0:
		return none
	case 1:
		kind, _, err := params.MediaType(kinds[0])
		return err != nil || kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data" || kind == "text/plain"
	}
	return true // it is unknown which of several counts
}
