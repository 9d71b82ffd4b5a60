package oauth2

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/jose"
)

// Endpoints are the paths that the endpoints are mounted at, below the issuer. A zero one is
// the default; "-" says that there is none, and leaves it out of the metadata, which name an
// endpoint whether it was mounted or not.
type Endpoints struct {
	Authorize  string // "/oauth2/authorize"
	Token      string // "/oauth2/token"
	Revoke     string // "/oauth2/revoke"
	Introspect string // "/oauth2/introspect"
	Push       string // "/oauth2/par"
	JWKS       string // "/oauth2/jwks"; with SigningKeys
	Userinfo   string // "/oauth2/userinfo"; with OpenID
	Logout     string // "/oauth2/logout"; with OpenID.EndSession
	// DeviceAuthorization is "/oauth2/device_authorization", Device the page "/oauth2/device".
	// Without Options.Keys there are none.
	DeviceAuthorization, Device string
	Register                    string // "/oauth2/register", with Options.Registration alone
}

func (e Endpoints) check() error {
	for _, path := range []string{e.Authorize, e.Token, e.Revoke, e.Introspect, e.Push, e.JWKS, e.Userinfo, e.Logout, e.DeviceAuthorization, e.Device, e.Register} {
		if path != "" && path != "-" && path[0] != '/' {
			return fmt.Errorf("oauth2: endpoint %q: want a path that begins with a slash, or \"-\" for none", path)
		}
	}
	return nil
}

// metadata are those of RFC 8414 section 2.
type metadata struct {
	Issuer         string           `json:"issuer"`
	Authorize      string           `json:"authorization_endpoint,omitempty"`
	Token          string           `json:"token_endpoint,omitempty"`
	Revoke         string           `json:"revocation_endpoint,omitempty"`
	Introspect     string           `json:"introspection_endpoint,omitempty"`
	Push           string           `json:"pushed_authorization_request_endpoint,omitempty"`
	Device         string           `json:"device_authorization_endpoint,omitempty"`
	Register       string           `json:"registration_endpoint,omitempty"`
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
	JWKS           string           `json:"jwks_uri,omitempty"`
	Proofs         []jose.Algorithm `json:"dpop_signing_alg_values_supported,omitempty"`
	*openIDMetadata
}

// openIDMetadata are those of OpenID Connect Discovery section 3 and RP-Initiated Logout.
type openIDMetadata struct {
	Userinfo   string   `json:"userinfo_endpoint,omitempty"`
	EndSession string   `json:"end_session_endpoint,omitempty"`
	Subjects   []string `json:"subject_types_supported"`
	Algorithms []string `json:"id_token_signing_alg_values_supported"`
	Claims     []string `json:"claims_supported"`
	Prompts    []string `json:"prompt_values_supported"`
	// What is not there is said, since "request_uri" is there by default.
	ClaimsParameter bool `json:"claims_parameter_supported"`
	Request         bool `json:"request_parameter_supported"`
	RequestURI      bool `json:"request_uri_parameter_supported"`
}

const registerPath = "/oauth2/register"

// at is the URL of an endpoint; "" where there is none.
func (s *Server) at(path, otherwise string) string {
	if path = cmp.Or(path, otherwise); path == "-" {
		return ""
	}
	return s.issuer + path
}

// Metadata returns the endpoint that describes the server, for
// /.well-known/oauth-authorization-server (RFC 8414) and, for an OpenID Provider, for
// /.well-known/openid-configuration (OpenID Connect Discovery 1.0). Everybody may read it, from
// any origin. Nothing in it comes from the request. Signing keys that can not be had are a 503.
func (s *Server) Metadata() http.Handler {
	e, at := s.opts.Endpoints, s.at
	m := metadata{
		Issuer: s.issuer, Authorize: at(e.Authorize, "/oauth2/authorize"), Token: at(e.Token, "/oauth2/token"), Revoke: at(e.Revoke, "/oauth2/revoke"),
		Introspect: at(e.Introspect, "/oauth2/introspect"), Push: at(e.Push, "/oauth2/par"),
		Scopes: s.scopes, Responses: []string{"code"}, Modes: []string{"query"}, Grants: []string{AuthorizationCode, ClientCredentials, RefreshToken},
		Methods: []string{SecretBasic, SecretPost, PrivateKeyJWT, None}, MethodAlgs: algorithms(), Challenges: []string{"S256"}, IssInResponse: true,
	}
	if s.opts.Keys != nil {
		m.Device = at(e.DeviceAuthorization, "/oauth2/device_authorization")
		m.Grants = append(m.Grants, DeviceCode)
	}
	if s.opts.InsecurePasswordGrant != nil {
		m.Grants = append(m.Grants, Password)
	}
	if s.opts.InsecureImplicitGrant {
		m.Grants, m.Responses, m.Modes = append(m.Grants, Implicit), append(m.Responses, "token"), append(m.Modes, "fragment")
	}
	if s.opts.Registration != nil {
		m.Register = at(e.Register, registerPath)
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
	if s.opts.SigningKeys != nil {
		m.JWKS = at(e.JWKS, "/oauth2/jwks")
	}
	if s.opts.OpenID == nil {
		return document(m)
	}
	m.openIDMetadata = &openIDMetadata{
		Userinfo: at(e.Userinfo, "/oauth2/userinfo"), Subjects: []string{"public"}, Prompts: []string{"none", "login", "consent"},
		Claims: []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "preferred_username", "email"},
	}
	if s.opts.OpenID.Claims != nil {
		m.openIDMetadata.Claims = m.openIDMetadata.Claims[:9]
	}
	if s.opts.OpenID.EndSession != nil {
		m.EndSession = at(e.Logout, "/oauth2/logout")
	}
	if s.harmless(scopeOffline) {
		m.Scopes = append(slices.Clone(m.Scopes), scopeOffline)
	}
	return public(func(w http.ResponseWriter, r *http.Request) {
		algs, err := s.algorithms(r.Context())
		if err != nil {
			s.fail(w, r, err)
			return
		}
		of, about := m, *m.openIDMetadata
		about.Algorithms = algs
		of.openIDMetadata = &about
		document(of).ServeHTTP(w, r)
	})
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
	}{s.opts.Audience, []string{s.issuer}, slices.DeleteFunc(slices.Clone(s.scopes), func(name string) bool { return name == scopeOffline }), []string{"header"}, proofs})
}

// document answers GET with JSON that anybody may read and keep for an hour.
func document(v any) http.Handler {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts alone
	}
	return public(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=3600")
		_, _ = w.Write(body)
	})
}
