package server

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// metadata is the document of RFC 8414, section 2.
type metadata struct {
	Issuer         string           `json:"issuer"`
	Authorize      string           `json:"authorization_endpoint,omitempty"`
	Token          string           `json:"token_endpoint,omitempty"`
	Revoke         string           `json:"revocation_endpoint,omitempty"`
	Introspect     string           `json:"introspection_endpoint,omitempty"`
	Push           string           `json:"pushed_authorization_request_endpoint,omitempty"`
	MustPush       bool             `json:"require_pushed_authorization_requests,omitempty"`
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
	Classes        []string         `json:"acr_values_supported,omitempty"`
	Challenges     []string         `json:"code_challenge_methods_supported"`
	IssInResponse  bool             `json:"authorization_response_iss_parameter_supported"`
	Documents      bool             `json:"client_id_metadata_document_supported,omitempty"`
	JWKS           string           `json:"jwks_uri,omitempty"`
	Proofs         []jose.Algorithm `json:"dpop_signing_alg_values_supported,omitempty"`
}

// Metadata returns the endpoint that describes the server. Routes mounts it at
// /.well-known/oauth-authorization-server (RFC 8414); for an OpenID Provider it also serves
// /.well-known/openid-configuration (OpenID Connect Discovery 1.0). Everyone can read it, from any
// origin. Nothing in it comes from the request. If the signing keys cannot be read, it responds
// with 503.
func (s *Server) Metadata() http.Handler {
	return oauth2.PublicDocument(func(w http.ResponseWriter, r *http.Request) {
		body, err := s.metadata(r.Context())
		if err != nil {
			s.fail(w, r, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=3600")
		_, _ = w.Write(body)
	})
}

// metadata returns the document with the members that extensions add.
func (s *Server) metadata(ctx context.Context) ([]byte, error) {
	body, err := json.Marshal(s.ownMetadata())
	if err != nil {
		return nil, err
	}
	for _, of := range s.described {
		added, err := of(ctx)
		if err != nil {
			return nil, err
		}
		tail, err := json.Marshal(added)
		if err != nil {
			return nil, err
		}
		if len(tail) > len("{}") {
			body = append(append(body[:len(body)-1], ','), tail[1:]...)
		}
	}
	return body, nil
}

func (s *Server) ownMetadata() metadata {
	e := s.opts.Endpoints
	m := metadata{
		Issuer: s.issuer, Authorize: s.URL(e.Authorize), Token: s.URL(e.Token), Revoke: s.URL(e.Revoke), Introspect: s.URL(e.Introspect), Push: s.URL(e.PushedAuthorization),
		Scopes:    slices.Concat(s.scopes, slices.DeleteFunc(slices.Clone(s.extended.IgnoredScopes), func(name string) bool { return !s.ignored(name) })),
		Responses: []string{"code"}, Modes: []string{"query", "form_post"}, Grants: []string{oauth2.AuthorizationCode, oauth2.ClientCredentials, oauth2.RefreshToken},
		Methods: []string{oauth2.SecretBasic, oauth2.SecretPost, oauth2.PrivateKeyJWT, oauth2.None}, MethodAlgs: s.assertionAlgorithms(), Challenges: []string{"S256"}, IssInResponse: true,
	}
	m.Documents, m.MustPush, m.Classes = s.documents != nil, s.opts.RequirePushed, s.opts.ACRValues
	if s.opts.FAPI2 {
		m.Methods = []string{oauth2.PrivateKeyJWT}
	}
	if s.opts.Keys != nil {
		m.Device = s.URL(e.DeviceAuthorization)
		m.Grants = append(m.Grants, oauth2.DeviceCode)
	}
	if s.opts.InsecurePasswordGrant != nil {
		m.Grants = append(m.Grants, oauth2.Password)
	}
	if s.opts.InsecureImplicitGrant {
		m.Grants, m.Responses, m.Modes = append(m.Grants, oauth2.Implicit), append(m.Responses, "token"), append(m.Modes, "fragment")
	}
	m.Grants = append(m.Grants, slices.Sorted(maps.Keys(s.extended.Grants))...)
	if s.extended.Registration != "" {
		m.Register = s.URL(s.extended.Registration)
	}
	if m.Scopes == nil {
		m.Scopes = []string{}
	}
	if m.Revoke != "" {
		m.RevokeBy, m.RevokeAlgs = m.Methods, m.MethodAlgs
	}
	if m.Introspect != "" {
		m.IntrospectBy, m.IntrospectAlgs = slices.DeleteFunc(slices.Clone(m.Methods), func(method string) bool { return method == oauth2.None }), m.MethodAlgs
	}
	if s.apiOpts.DPoP != nil {
		m.Proofs = s.apiOpts.DPoP.Algorithms()
	}
	if s.opts.SigningKeys != nil {
		m.JWKS = s.URL(e.JWKS)
	}
	return m
}

// ResourceMetadata is [oauth2.Scheme.ResourceMetadata] with the server's scopes. It panics without
// oauth2.Options.Audience.
func (s *Server) ResourceMetadata() http.Handler { return s.api.ResourceMetadata(s.scopes...) }
