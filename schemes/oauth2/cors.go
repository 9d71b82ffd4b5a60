package oauth2

import (
	"net/http"
	"slices"
)

// The request headers that clients of these protocols send (RFC 6750, RFC 9449, Model Context
// Protocol). Browsers count Accept and Content-Type among them for some values only.
const (
	documentHeaders = "Accept, Content-Type, MCP-Protocol-Version, Mcp-Method, Mcp-Name"
	endpointHeaders = "Accept, Authorization, Content-Type, DPoP, MCP-Protocol-Version"
	exposedHeaders  = "WWW-Authenticate, DPoP-Nonce, Retry-After"

	// preflightAge is how long a browser keeps the answer to a preflight, in seconds.
	preflightAge = "600"

	anyOrigin = "*"
)

// cors lets the pages of Options.Origins call an endpoint by a script: one that reads no
// cookie and changes nothing of the page's user by itself. The authorization endpoint and the
// pages are never such (RFC 9700 section 2.6). Errors have the same headers, so that a script
// can read them. A page of another origin that makes a browser send a form is refused.
func (s *Server) cors(methods string, next http.Handler) http.Handler {
	everyone := slices.Contains(s.opts.Origins, anyOrigin)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		origin := r.Header.Get("Origin")
		switch {
		case everyone:
			origin = anyOrigin
		case origin == "" || origin == "null" || len(r.Header["Origin"]) > 1 || !slices.Contains(s.opts.Origins, origin):
			if len(s.opts.Origins) > 0 {
				h.Add("Vary", "Origin")
			}
			if foreignForm(r) {
				s.fail(w, r, &Error{Status: http.StatusForbidden, Code: "invalid_request", Description: "This request came from a page of another site."})
				return
			}
			next.ServeHTTP(w, r)
			return
		default:
			h.Add("Vary", "Origin")
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			preflight(w, methods, endpointHeaders)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// foreignForm reports a request that a page of another site made a browser send without a
// preflight request. Its answer is for nobody, but it would use up the limits of the visitor's
// address. Clients that are no browsers send no Sec-Fetch-Site.
func foreignForm(r *http.Request) bool {
	return r.Method == http.MethodPost && r.Header.Get("Sec-Fetch-Site") == "cross-site" && len(r.Header["Authorization"]) == 0 && len(r.Header["Dpop"]) == 0
}

// public lets pages of every origin read a document that says the same to everyone, and
// answers OPTIONS. Others than GET and HEAD do not reach next.
func public(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", anyOrigin)
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			next(w, r)
		case http.MethodOptions:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			preflight(w, "GET, HEAD", documentHeaders)
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			write(w, http.StatusMethodNotAllowed, map[string]string{"error": "invalid_request"})
		}
	})
}

// preflight answers the question of a browser whether a script may send its request.
func preflight(w http.ResponseWriter, methods, headers string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
}
