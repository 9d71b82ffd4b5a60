package oauth2

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/jose"
)

// Endpoints are the paths that the endpoints are mounted at, below the issuer. A zero one is
// the default; "-" says that there is none, and leaves it out of the metadata.
type Endpoints struct {
	Authorize  string // "/oauth2/authorize"
	Token      string // "/oauth2/token"
	Revoke     string // "/oauth2/revoke"
	Introspect string // "/oauth2/introspect"
	Push       string // "/oauth2/par"
}

// metadata are those of RFC 8414 section 2.
type metadata struct {
	Issuer         string           `json:"issuer"`
	Authorize      string           `json:"authorization_endpoint,omitempty"`
	Token          string           `json:"token_endpoint,omitempty"`
	Revoke         string           `json:"revocation_endpoint,omitempty"`
	Introspect     string           `json:"introspection_endpoint,omitempty"`
	Push           string           `json:"pushed_authorization_request_endpoint,omitempty"`
	Scopes         []string         `json:"scopes_supported"`
	Responses      []string         `json:"response_types_supported"`
	Modes          []string         `json:"response_modes_supported"`
	Grants         []string         `json:"grant_types_supported"`
	Methods        []string         `json:"token_endpoint_auth_methods_supported"`
	MethodAlgs     []jose.Algorithm `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevokeBy       []string         `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevokeAlgs     []jose.Algorithm `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectBy   []string         `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectAlgs []jose.Algorithm `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	Challenges     []string         `json:"code_challenge_methods_supported"`
	IssInResponse  bool             `json:"authorization_response_iss_parameter_supported"`
	Proofs         []jose.Algorithm `json:"dpop_signing_alg_values_supported,omitempty"`
}

// Metadata returns the endpoint that describes the server (RFC 8414), for
// /.well-known/oauth-authorization-server. Everybody may read it, from any origin. Nothing in
// it comes from the request.
func (s *Server) Metadata() http.Handler {
	e, at := s.opts.Endpoints, s.at
	m := metadata{
		Issuer: s.issuer, Authorize: at(e.Authorize, "/oauth2/authorize"), Token: at(e.Token, "/oauth2/token"), Revoke: at(e.Revoke, "/oauth2/revoke"),
		Introspect: at(e.Introspect, "/oauth2/introspect"), Push: at(e.Push, "/oauth2/par"),
		Scopes: s.scopes, Responses: []string{"code"}, Modes: []string{"query"}, Grants: []string{AuthorizationCode, ClientCredentials, RefreshToken},
		Methods: []string{SecretBasic, SecretPost, PrivateKeyJWT, None}, MethodAlgs: algorithms(), Challenges: []string{"S256"}, IssInResponse: true,
	}
	if m.Scopes == nil {
		m.Scopes = []string{}
	}
	if m.Revoke != "" {
		m.RevokeBy, m.RevokeAlgs = m.Methods, m.MethodAlgs
	}
	if m.Introspect != "" {
		m.IntrospectBy, m.IntrospectAlgs = []string{SecretBasic, SecretPost, PrivateKeyJWT}, m.MethodAlgs
	}
	if s.opts.DPoP != nil {
		m.Proofs = algorithms()
	}
	return document(m)
}

// at is the address of an endpoint, "" for one that there is not.
func (s *Server) at(path, otherwise string) string {
	if path = cmp.Or(path, otherwise); path == "-" {
		return ""
	}
	return s.issuer + path
}

// ResourceMetadata returns the endpoint that tells clients which server gives tokens for this
// API (RFC 9728), for /.well-known/oauth-protected-resource. It needs Options.Audience.
func (s *Server) ResourceMetadata() http.Handler {
	if s.opts.Audience == "" {
		panic("oauth2: ResourceMetadata without Options.Audience")
	}
	var proofs []jose.Algorithm
	if s.opts.DPoP != nil {
		proofs = algorithms()
	}
	return document(struct {
		Resource string           `json:"resource"`
		Servers  []string         `json:"authorization_servers"`
		Scopes   []string         `json:"scopes_supported"`
		Methods  []string         `json:"bearer_methods_supported"`
		Proofs   []jose.Algorithm `json:"dpop_signing_alg_values_supported,omitempty"`
	}{s.opts.Audience, []string{s.issuer}, slices.Clone(s.scopes), []string{"header"}, proofs})
}

// document answers GET with JSON that anybody may read and keep for an hour.
func document(v any) http.Handler {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts alone
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			_, _ = w.Write([]byte(`{"error":"invalid_request"}`))
			return
		}
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("Access-Control-Allow-Origin", "*")
		_, _ = w.Write(body)
	})
}
