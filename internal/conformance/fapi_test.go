package conformance

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

func TestFAPI2(t *testing.T)       { runPlan(t, newFAPI(t)) }
func TestBrokenFAPI2(t *testing.T) { runBroken(t, newFAPI(t)) }

// newFAPI returns a server with Options.FAPI2 and two clients.
func newFAPI(t *testing.T) *fixture {
	scopes := []string{"openid", "profile"}
	return newFixture(t, profile{fapi: true, signing: newES256("signing"), clients: []*client{
		{id: "one", method: privateKeyJWT, keys: []signer{clientKey()}, redirects: []string{"https://client.example/one"}, scopes: scopes},
		{id: "two", method: privateKeyJWT, keys: []signer{newES256("two")}, redirects: []string{"https://client.example/two?dummy1=lorem&dummy2=ipsum"}, scopes: scopes},
	}})
}

// fapiRows are the modules of FAPI 2.0, without the prefix of the plan.
func fapiRows() []row {
	rows := []row{
		{module: "discovery-end-point-verification", check: fapiDiscovery, broken: []mutation{
			member(metadataPath, "issuer", "https://evil.example"), without(metadataPath, "authorization_response_iss_parameter_supported"), without(metadataPath, "pushed_authorization_request_endpoint"),
			member(metadataPath, "token_endpoint_auth_methods_supported", []any{"client_secret_basic"}), member(metadataPath, "token_endpoint_auth_signing_alg_values_supported", []any{"RS256"}),
			without(metadataPath, "dpop_signing_alg_values_supported"), member(metadataPath, "code_challenge_methods_supported", []any{"plain"}),
			member(metadataPath, "require_pushed_authorization_requests", "yes"), member(metadataPath, "response_types_supported", []any{"token"}),
		}},
		{module: "happy-flow", check: happyFlow, broken: append(fapiShared(), answered("tokens are accepted in the query", resourcePath, func(_ *fixture, _ *http.Request, v url.Values, a *reply) {
			if v.Has("access_token") {
				a.status = http.StatusOK
			}
		}))},
		{module: "user-rejects-authentication", check: userRejects, broken: []mutation{issuesCodes, sentBack("another error", func(v url.Values) { v.Set("error", "server_error") })}},
		{module: "ensure-authorization-request-without-state-success", check: pushing("state", ""), broken: []mutation{sentBack("an invented state", func(v url.Values) { v.Set("state", "x") })}},
		{module: "access-token-type-header-case-sensitivity", check: otherCase, broken: []mutation{
			fails("the scheme is case-sensitive", resourcePath, http.StatusUnauthorized, func(r *http.Request, _ url.Values) bool { return r.Header.Get("Authorization")[:5] != "DPoP " }),
		}},
		{module: "check-dpop-proof-nbf-exp", check: proving(func(p *party) map[string]any {
			return map[string]any{"nbf": p.f.clock().Unix(), "exp": p.f.clock().Add(5 * time.Minute).Unix()}
		}), broken: []mutation{
			failsProofs("nbf is rejected", tokenPath, func(_ *fixture, claims map[string]any) bool { return claims["nbf"] != nil }),
		}},
		{module: "ensure-dpopproof-with-iat-10seconds-before-succeeds", check: proving(func(p *party) map[string]any { return map[string]any{"iat": p.f.clock().Unix() - 10} }), broken: []mutation{
			failsProofs("proofs must be new", tokenPath, func(f *fixture, claims map[string]any) bool { return claims["iat"] != float64(f.clock().Unix()) }),
		}},
		{module: "ensure-dpopproof-with-iat-10seconds-after-succeeds", check: proving(func(p *party) map[string]any { return map[string]any{"iat": p.f.clock().Unix() + 10} }), broken: []mutation{
			failsProofs("clocks must be equal", tokenPath, func(f *fixture, claims map[string]any) bool { return claims["iat"] != float64(f.clock().Unix()) }),
		}},
		{module: "ensure-mismatched-dpop-jkt-fails", check: mismatchedAtPush, broken: []mutation{ignored(pushPath, "dpop_jkt")}},
		{module: "ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt", check: func(p *party) { p.otherKey(true) }, broken: []mutation{
			requested("proofs of pushed requests are ignored", pushPath, func(_ *fixture, r *http.Request, _ url.Values) { r.Header.Del("DPoP") }),
		}},
		{module: "ensure-token-endpoint-fails-with-mismatched-dpop-jkt", check: func(p *party) { p.otherKey(false) }, broken: []mutation{ignored(pushPath, "dpop_jkt")}},
		{module: "ensure-dpopproof-at-par-endpoint-binding-success", check: func(p *party) { p.binding(false) }, broken: []mutation{
			fails("a pushed request has no proof", pushPath, http.StatusBadRequest, func(r *http.Request, _ url.Values) bool { return r.Header.Get("DPoP") != "" }),
		}},
		{module: "ensure-dpop-auth-code-binding-success", check: func(p *party) { p.binding(true) }, broken: []mutation{
			fails("dpop_jkt is rejected", pushPath, http.StatusBadRequest, func(_ *http.Request, v url.Values) bool { return v.Has("dpop_jkt") }),
		}},
		{module: "ensure-different-state-inside-and-outside-request-object", check: outside("state"), broken: []mutation{sentBack("the state of the URL", func(v url.Values) { v.Set("state", outsideValue) })}},
		{module: "ensure-authorization-request-with-long-state", check: pushing("state", longValue), broken: []mutation{sentBack("a cut state", func(v url.Values) { v.Set("state", v.Get("state")[:255]) })}},
		{module: "state-only-outside-request-object-not-used", check: stateOutside, broken: []mutation{sentBack("the state of the URL", func(v url.Values) { v.Set("state", outsideValue) })}},
		{module: "ensure-request-object-without-redirect-uri-fails", check: withoutRedirect, broken: []mutation{defaultRedirect}},
		{module: "plain-fapi-tolerate-unregistered-redirect-uri", check: func(p *party) {
			p.refused(p.push(p.client(1), p.fapiRequest(p.client(1), "redirect_uri", "https://client.example/other")), "invalid_request")
		}, broken: []mutation{asked("any redirect URI is accepted", pushPath, func(v url.Values) { v.Set("redirect_uri", "https://client.example/one") })}},
		{module: "ensure-unsigned-authorization-request-without-using-par-fails", check: func(p *party) {
			q := p.fapiRequest(p.client(1))
			p.rejectedOrPage(p.authorize(q), q, "invalid_request")
		}, broken: []mutation{issuesCodes}},
		{module: "ensure-redirect-uri-in-authorization-request", check: redirectOrDefault, broken: []mutation{
			answered("the error is a server error", pushPath, func(_ *fixture, _ *http.Request, _ url.Values, a *reply) {
				if a.status == http.StatusBadRequest {
					a.status = http.StatusInternalServerError
				}
			}),
		}},
		{module: "ensure-response-type-code-idtoken-fails", check: otherResponseType("code id_token"), broken: []mutation{onlyCode}},
		{module: "ensure-response-type-token-fails", check: otherResponseType("token"), broken: []mutation{onlyCode}},
		{module: "ensure-client-id-in-token-endpoint", check: otherClientID, broken: []mutation{ignored(tokenPath, "client_id"), issuesAnyway}},
		{module: "ensure-holder-of-key-required", check: withoutProof, note: "the check of TLS versions is left out, because your proxy or server decides the versions", broken: []mutation{issuesAnyway}},
		{module: "ensure-authorization-code-is-bound-to-client", check: othersCode, broken: []mutation{issuesAnyway}},
		{module: "attempt-reuse-authorization-code-after-one-second", check: codeAgain, broken: []mutation{issuesAnyway, succeeds("access tokens stay valid", resourcePath, `{}`)}},
		{module: "ensure-token-endpoint-fails-with-expired-auth-code", check: expiredCode, broken: []mutation{issuesAnyway}},
		{module: "ensure-signed-client-assertion-with-RS256-fails", check: assertedAtToken("RS256", nil, "invalid_client"), broken: []mutation{issuesAnyway}},
		{module: "ensure-client-assertion-in-token-endpoint", check: withoutAssertion, broken: []mutation{issuesAnyway}},
		{module: "ensure-client-assertion-with-exp-is-5-minutes-in-past-fails", check: assertedAtToken("", func(p *party) map[string]any {
			return map[string]any{"exp": p.f.clock().Add(-5 * time.Minute).Unix(), "iat": p.f.clock().Add(-10 * time.Minute).Unix(), "nbf": nil}
		}, noClient...), broken: []mutation{issuesAnyway}},
		{module: "ensure-client-assertion-with-wrong-aud-fails", check: assertedAtToken("", func(*party) map[string]any { return map[string]any{"aud": "https://other.example"} }, noClient...), broken: []mutation{issuesAnyway}},
		{module: "ensure-client-assertion-with-no-sub-fails", check: assertedAtToken("", func(*party) map[string]any { return map[string]any{"sub": nil} }, noClient...), broken: []mutation{issuesAnyway}},
		{module: "dpop-negative-tests", check: negativeProofs, note: "the step with the default port is left out, because the test server uses another port", broken: brokenProofs()},
		{module: "refresh-token", check: fapiRefresh, note: "the step about a lost response is skipped, as in the suite, because refresh tokens are not rotated", broken: append(brokenRefresh(), member(tokenPath, "token_type", "Bearer"))},
	}
	return append(append(rows, pushRows()...), fapiOpenIDRows()...)
}

// pushRows are the modules about pushed requests and PKCE.
func pushRows() []row {
	pushAnyway := succeeds("every request can be pushed", pushPath, `{"request_uri":"urn:ietf:params:oauth:request_uri:0123456789abcdefghijklmnopqr","expires_in":60}`)
	return []row{
		{module: "par-ensure-reused-request-uri-prior-to-auth-completion-succeeds", check: openedTwice, broken: []mutation{opensOnce}},
		{module: "par-attempt-reuse-request_uri", check: usedAgain, broken: []mutation{usesAgain}},
		{module: "par-attempt-to-use-expired-request_uri", check: expiredRequest, broken: []mutation{usesAgain}},
		{module: "par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted", check: func(p *party) {
			p.pushedBy(p.client(1), p.fapiRequest(p.client(1)), p.assertion(p.client(1), "", p.ahead(8*time.Second)))
		}, broken: []mutation{
			answered("clocks must be equal", pushPath, func(f *fixture, _ *http.Request, v url.Values, a *reply) {
				if _, claims, err := parts(v.Get("client_assertion")); err == nil && claims["nbf"].(float64) > float64(f.clock().Unix()) {
					a.status = http.StatusBadRequest
				}
			}),
		}},
		{module: "par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails", check: assertedAtPush(func(p *party) map[string]any { return p.ahead(65 * time.Second) }), broken: []mutation{pushAnyway}},
		{module: "par-attempt-to-use-request_uri-for-different-client", check: othersRequest, broken: []mutation{usesAgain}},
		{module: "par-authorization-request-containing-request_uri-form-param", check: func(p *party) {
			p.refused(p.push(p.client(1), p.fapiRequest(p.client(1), "request_uri", "urn:ietf:params:oauth:request_uri:x")), "invalid_request", "invalid_request_object", "request_uri_not_supported")
		}, broken: []mutation{ignored(pushPath, "request_uri")}},
		{module: "par-attempt-invalid-http-method", check: pushByPut, broken: []mutation{{"PUT is POST", func(_ *fixture, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					r.Method = http.MethodPost
				}
				next.ServeHTTP(w, r)
			})
		}}}},
		{module: "par-ensure-pkce-required", check: refusedPush([]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"), broken: []mutation{
			asked("PKCE is optional", pushPath, func(v url.Values) {
				v.Set("code_challenge", challengeOf(fapiVerifier))
				v.Set("code_challenge_method", "S256")
			}),
		}},
		{module: "ensure-pkce-code-verifier-required", check: verifierModule(""), broken: []mutation{issuesAnyway, otherError}},
		{module: "incorrect-pkce-code-verifier-rejected", check: verifierModule("x" + fapiVerifier[1:]), broken: []mutation{issuesAnyway, otherError}},
		{module: "par-plain-pkce-rejected", check: refusedPush([]string{"code_challenge", fapiVerifier, "code_challenge_method", "plain"}, "invalid_request"), broken: []mutation{
			asked("every method is S256", pushPath, func(v url.Values) { v.Set("code_challenge_method", "S256") }),
		}},
		{module: "par-without-duplicate-parameters", check: func(p *party) { p.fapiLogin(p.client(1), p.fapiRequest(p.client(1)), false) }, broken: []mutation{
			fails("the parameters are required in the URL", authorizePath, http.StatusBadRequest, func(_ *http.Request, v url.Values) bool { return v.Has("request_uri") && !v.Has("redirect_uri") }),
		}},
		{module: "par-test-array-as-audience-fails", check: assertedAtPush(func(p *party) map[string]any { return map[string]any{"aud": []any{p.f.issuer}} }), broken: []mutation{pushAnyway}},
		{module: "par-test-par-endpoint-url-as-audience-fails", check: assertedAtPush(func(p *party) map[string]any { return map[string]any{"aud": p.f.issuer + pushPath} }), broken: []mutation{pushAnyway}},
		{module: "par-test-token-endpoint-url-as-audience-fails", check: assertedAtPush(func(p *party) map[string]any { return map[string]any{"aud": p.f.issuer + tokenPath} }), broken: []mutation{pushAnyway}},
	}
}

// fapiOpenIDRows are the modules that the plan adds for openid_connect.
func fapiOpenIDRows() []row {
	return []row{
		{module: "ensure-authorization-request-without-nonce-success", check: pushing("scope", "openid profile", "nonce", ""), broken: []mutation{
			fails("a nonce is required", pushPath, http.StatusBadRequest, func(_ *http.Request, v url.Values) bool { return !v.Has("nonce") }),
		}},
		{module: "ensure-authorization-request-with-64-char-nonce-success", check: pushing("scope", "openid profile", "nonce", longValue[:64]), broken: []mutation{
			claimed("a cut nonce", func(_ *fixture, _, claims map[string]any) { claims["nonce"] = longValue[:63] }),
		}},
		{module: "ensure-other-scope-order-succeeds", check: pushing("scope", "profile openid"), broken: []mutation{
			fails("openid must come first", pushPath, http.StatusBadRequest, func(_ *http.Request, v url.Values) bool { return v.Get("scope")[:6] != "openid" }), without(tokenPath, "id_token"),
		}},
		{module: "ensure-different-nonce-inside-and-outside-request-object", check: outside("nonce"), broken: []mutation{claim("nonce", outsideValue)}},
		{module: "ensure-authorization-request-with-long-nonce", check: longNonce, note: "the request is rejected, which the suite allows; the server never shortens a nonce", broken: []mutation{
			asked("a cut nonce", pushPath, func(v url.Values) { v.Set("nonce", v.Get("nonce")[:255]) }),
		}},
		{module: "test-claims-parameter-identity-claims", check: fapiClaims, want: skipped, note: "the metadata says that the parameter `claims` is not supported", broken: []mutation{
			member(openIDPath, "claims_parameter_supported", true),
		}},
	}
}
