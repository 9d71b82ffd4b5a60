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

// ResourceMetadata returns the endpoint from which clients learn which server issues tokens for
// this API (RFC 9728). Mount it at /.well-known/oauth-protected-resource. scopes are the scopes of
// the API; offline_access is omitted, because it gives no right at an API. If Audience has a path,
// or if clients must find the document by the challenge, use package schemes/oauth2/resource. It
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
		Scopes   []string         `json:"scopes_supported,omitempty"`
		Methods  []string         `json:"bearer_methods_supported"`
		Proofs   []jose.Algorithm `json:"dpop_signing_alg_values_supported,omitempty"`
	}{s.opts.Audience, []string{s.issuer}, slices.DeleteFunc(slices.Clone(scopes), func(name string) bool { return name == ScopeOfflineAccess }), []string{"header"}, proofs})
}

// Document returns a handler that responds to GET with v as JSON. Everyone can read it, and it can
// be cached for an hour. Document panics if v cannot be encoded.
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

// documentHeaders are the request headers that clients of these protocols send (RFC 6750, RFC 9449,
// Model Context Protocol). Browsers require Accept and Content-Type in the list only for some
// values.
const documentHeaders = "Accept, Content-Type, MCP-Protocol-Version, Mcp-Method, Mcp-Name"

// preflightAge is how long a browser caches the response to a preflight, in seconds.
const preflightAge = "600"

// PublicDocument returns a handler for a document that is the same for everyone. Pages of every
// origin can read it. The handler next receives only GET and HEAD; the returned handler responds to
// OPTIONS itself.
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

// Preflight responds to the preflight request of a browser (CORS). methods and headers are
// comma-separated lists.
func Preflight(w http.ResponseWriter, methods, headers string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
}
