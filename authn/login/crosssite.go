package login

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// crossSite refuses a request that a page of another site made a browser send without asking this
// server first: a form, or a script's body of a type that needs no preflight request. Its
// passwords would be guesses from the visitor's own address, and use up the visitor's own limits.
//
// JSON needs a preflight request (Fetch standard, section 4.8), so the application's CORS rules
// decide about it. They decide here too, if they have allowed the origin already. Clients that
// are no browsers send no Sec-Fetch-Site.
func crossSite(w http.ResponseWriter, r *http.Request) error {
	if kind, _ := mediaType(r); r.Header.Get("Sec-Fetch-Site") != "cross-site" || kind == "application/json" {
		return nil
	}
	if allowed := w.Header().Get("Access-Control-Allow-Origin"); allowed != "" && (allowed == "*" || allowed == r.Header.Get("Origin")) {
		return nil
	}
	return authn.PermissionDenied("This request came from another site.")
}
