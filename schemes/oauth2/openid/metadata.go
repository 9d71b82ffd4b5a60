package openid

import "context"

// metadata has the members of OpenID Connect Discovery, section 3, and RP-Initiated Logout.
type metadata struct {
	UserInfo   string   `json:"userinfo_endpoint,omitempty"`
	EndSession string   `json:"end_session_endpoint,omitempty"`
	Subjects   []string `json:"subject_types_supported"`
	Algorithms []string `json:"id_token_signing_alg_values_supported"`
	Claims     []string `json:"claims_supported"`
	Prompts    []string `json:"prompt_values_supported"`
	// These are explicitly false, because "request_uri" is supported by default.
	ClaimsParameter bool `json:"claims_parameter_supported"`
	Request         bool `json:"request_parameter_supported"`
	RequestURI      bool `json:"request_uri_parameter_supported"`
}

// metadata returns the members for the server's metadata.
func (p *Provider) metadata(ctx context.Context) (any, error) {
	algs, err := p.server.SigningAlgorithms(ctx)
	if err != nil {
		return nil, err
	}
	e := p.server.Options().Endpoints
	m := metadata{
		UserInfo: p.server.URL(e.UserInfo), Subjects: []string{"public"}, Algorithms: algs, Prompts: []string{"none", "login", "consent", "select_account"},
		Claims: []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "at_hash", "sid"},
	}
	if p.opts.Claims == nil {
		m.Claims = append(m.Claims, "preferred_username", "email", "email_verified")
	}
	if p.opts.EndSession != nil {
		m.EndSession = p.server.URL(e.Logout)
	}
	return m, nil
}
