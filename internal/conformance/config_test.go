package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func configRows() []row {
	return []row{{module: "oidcc-discovery-endpoint-verification", check: discoveryModule, broken: []mutation{
		member(openIDPath, "issuer", "https://evil.example"), member(openIDPath, "token_endpoint", "http://auth.example/token"), without(openIDPath, "authorization_endpoint"),
		member(openIDPath, "response_types_supported", []any{"id_token"}), without(openIDPath, "subject_types_supported"),
		member(openIDPath, "id_token_signing_alg_values_supported", []any{"ES256"}), without(openIDPath, "jwks_uri"), without(openIDPath, "userinfo_endpoint"),
		member(openIDPath, "scopes_supported", []any{"profile"}), member(openIDPath, "code_challenge_methods_supported", "S256"), member(openIDPath, "unheard_of", true),
		header(openIDPath, "Content-Type", "text/html"),
		said("two keys with one kid", keysPath, func(m map[string]any) {
			list, _ := m["keys"].([]any)
			m["keys"] = append(list, list...)
		}),
		said("a private key", keysPath, func(m map[string]any) { m["keys"].([]any)[0].(map[string]any)["d"] = "AQAB" }),
		said("a standard base64 value", keysPath, func(m map[string]any) { m["keys"].([]any)[0].(map[string]any)["n"] = "ab+/" }),
		answered("no key set", keysPath, func(_ *fixture, _ *http.Request, _ url.Values, a *reply) { a.status = http.StatusNotFound }),
	}}}
}

// knownMetadata are the registered members of the metadata of a server.
var knownMetadata = strings.Fields(`issuer authorization_endpoint token_endpoint userinfo_endpoint jwks_uri registration_endpoint scopes_supported response_types_supported
	response_modes_supported grant_types_supported acr_values_supported subject_types_supported id_token_signing_alg_values_supported
	token_endpoint_auth_methods_supported token_endpoint_auth_signing_alg_values_supported display_values_supported claim_types_supported claims_supported
	service_documentation claims_locales_supported ui_locales_supported claims_parameter_supported request_parameter_supported request_uri_parameter_supported
	require_request_uri_registration op_policy_uri op_tos_uri prompt_values_supported end_session_endpoint revocation_endpoint
	revocation_endpoint_auth_methods_supported revocation_endpoint_auth_signing_alg_values_supported introspection_endpoint
	introspection_endpoint_auth_methods_supported introspection_endpoint_auth_signing_alg_values_supported code_challenge_methods_supported
	device_authorization_endpoint pushed_authorization_request_endpoint require_pushed_authorization_requests dpop_signing_alg_values_supported
	authorization_response_iss_parameter_supported client_id_metadata_document_supported backchannel_logout_supported backchannel_logout_session_supported
	frontchannel_logout_supported frontchannel_logout_session_supported protected_resources global_token_revocation_endpoint`)

func discoveryModule(p *party) {
	m := p.discovery()
	if m["issuer"] != p.f.issuer {
		p.failf("the issuer is %v", m["issuer"])
	}
	for name, value := range m {
		if text, _ := value.(string); strings.HasSuffix(name, "_endpoint") || strings.HasSuffix(name, "_uri") {
			p.secure(name, text)
		}
		if !slices.Contains(knownMetadata, name) {
			p.warnf("the member %s is unknown", name)
		}
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri"} {
		p.endpoint(name)
	}
	if m["userinfo_endpoint"] == nil {
		p.warnf("no userinfo_endpoint")
	}
	for name, value := range map[string]string{"response_types_supported": "code", "subject_types_supported": "public", "id_token_signing_alg_values_supported": "RS256", "grant_types_supported": "authorization_code"} {
		if !p.lists(name, value) {
			p.failf("%s has no %s", name, value)
		}
	}
	if !p.lists("scopes_supported", "openid") {
		p.warnf("scopes_supported has no openid")
	}
	if v, ok := m["code_challenge_methods_supported"]; ok && !isList(v) {
		p.failf("code_challenge_methods_supported is a %T", v)
	}
	p.strictKeys()
}

func isList(v any) bool { _, ok := v.([]any); return ok }

// secure checks that a URL of the metadata is one of https.
func (p *party) secure(name, text string) {
	if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" {
		p.failf("%s is %q", name, text)
	}
}

// strictKeys checks the key set: public keys with distinct IDs and values in base64url.
func (p *party) strictKeys() {
	seen := map[any]bool{}
	for _, k := range p.keySet() {
		if seen[k["kid"]] || k["kid"] == nil {
			p.failf("the key ID %v occurs twice or is missing", k["kid"])
		}
		seen[k["kid"]] = true
		for _, name := range []string{"d", "p", "q", "k"} {
			if k[name] != nil {
				p.failf("the key set has the private member %s", name)
			}
		}
		for _, name := range []string{"n", "e", "x", "y"} {
			if text, _ := k[name].(string); strings.ContainsAny(text, "+/=") {
				p.failf("%s is not in base64url", name)
			}
		}
	}
}
