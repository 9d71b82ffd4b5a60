package server

import (
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

const (
	// endpointHeaders are the request headers that clients of these protocols send (RFC 6750, RFC
	// 9449, Model Context Protocol). Browsers require Accept and Content-Type in the list only for
	// some values.
	endpointHeaders = "Accept, Authorization, Content-Type, DPoP, MCP-Protocol-Version"
	exposedHeaders  = "WWW-Authenticate, DPoP-Nonce, Retry-After"

	anyOrigin = "*"
)

// CORS lets scripts of Options.Origins call an endpoint. Use it only for endpoints that read no
// cookie, never for the authorization endpoint and other pages (RFC 9700, section 2.6). Errors have
// the same headers, so that a script can read them. A form that a browser sends from a page of
// another origin is rejected.
func (s *Server) CORS(methods string, next http.Handler) http.Handler {
	next = audited(next)
	guarded := s.noForeignForms(next)
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
			guarded.ServeHTTP(w, r)
			return
		default:
			h.Add("Vary", "Origin")
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			oauth2.Preflight(w, methods, endpointHeaders)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// noForeignForms rejects requests that a page of another site makes a browser send without a
// preflight request. The page could not read the response, but the request would count toward the
// limits of the visitor's address.
func (s *Server) noForeignForms(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if csrf.IsForeignForm(w.Header(), r) {
			s.fail(w, r, &oauth2.Error{Status: http.StatusForbidden, Code: "invalid_request", Description: "This request came from a page of another site."})
			return
		}
		next.ServeHTTP(w, r)
	})
}
