package oauth2

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
)

// ScopeOfflineAccess requests a refresh token in OpenID Connect (Core, section 11).
const ScopeOfflineAccess = "offline_access"

// ResourceMetadata returns the endpoint that tells clients which server issues tokens for this
// API (RFC 9728), for /.well-known/oauth-protected-resource. scopes are those of the API. It
// panics without Options.Audience.
func (s *Scheme) ResourceMetadata(scopes ...string) http.Handler {
	if s.opts.Audience == "" {
		panic("oauth2: ResourceMetadata requires Options.Audience")
	}
	var proofs []jose.Algorithm
	if s.opts.DPoP != nil {
		proofs = dpop.Algorithms()
	}
	return Document(struct {
		Resource string           `json:"resource"`
		Servers  []string         `json:"authorization_servers"`
		Scopes   []string         `json:"scopes_supported"`
		Methods  []string         `json:"bearer_methods_supported"`
		Proofs   []jose.Algorithm `json:"dpop_signing_alg_values_supported,omitempty"`
	}{s.opts.Audience, []string{s.issuer}, slices.DeleteFunc(slices.Clone(scopes), func(name string) bool { return name == ScopeOfflineAccess }), []string{"header"}, proofs})
}

// Document returns a handler that answers GET with JSON that anyone may read and cache for an
// hour. It panics if v cannot be encoded.
func Document(v any) http.Handler {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return PublicDocument(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=3600")
		_, _ = w.Write(body)
	})
}

// The request headers that clients of these protocols send (RFC 6750, RFC 9449, Model Context
// Protocol). Browsers count Accept and Content-Type among them for some values only.
const documentHeaders = "Accept, Content-Type, MCP-Protocol-Version, Mcp-Method, Mcp-Name"

// preflightAge is how long a browser caches the answer to a preflight, in seconds.
const preflightAge = "600"

// PublicDocument lets pages of every origin read a document that is the same for everyone, and
// answers OPTIONS. next gets only GET and HEAD.
func PublicDocument(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			next(w, r)
		case http.MethodOptions:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			Preflight(w, "GET, HEAD", documentHeaders)
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			WriteJSON(w, http.StatusMethodNotAllowed, map[string]string{"error": "invalid_request"})
		}
	})
}

// Preflight answers a browser that asks whether a script may send its request.
func Preflight(w http.ResponseWriter, methods, headers string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
}
