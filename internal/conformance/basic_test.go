package conformance

import (
	"net/http"
	"net/url"
	"time"
)

// always is the condition of every request.
func always(*http.Request, url.Values) bool { return true }

// basicRows are the modules of the Basic plan of OpenID Connect.
func basicRows() []row {
	return []row{
		{module: "oidcc-server", check: func(p *party) { p.whole(p.client(1), p.request(p.client(1), "openid")) }, broken: sharedMutations()},
		{module: "oidcc-response-type-missing", check: responseTypeMissing, broken: []mutation{
			asked("a default response_type", authorizePath, func(v url.Values) {
				if v.Has("client_id") {
					v.Set("response_type", "code")
				}
			}),
		}},
		{module: "oidcc-idtoken-signature", check: idTokenSignature, note: "with a registered client", broken: []mutation{
			claimed("no key named", func(_ *fixture, header, _ map[string]any) { delete(header, "kid") }),
			claimed("PS256 instead of RS256", func(_ *fixture, header, _ map[string]any) { header["alg"] = "PS256" }),
		}},
		{module: "oidcc-idtoken-unsigned", check: idTokenUnsigned, want: skipped, note: "ID tokens are always signed, so the metadata does not list `none`", broken: []mutation{
			member(openIDPath, "id_token_signing_alg_values_supported", []any{"RS256", "none"}),
		}},
		{module: "oidcc-userinfo-get", check: func(p *party) { p.userInfoBy(http.MethodGet) }, broken: []mutation{
			member(userInfoPath, "sub", "someone-else"), header(userInfoPath, "Content-Type", "application/jwt"),
		}},
		{module: "oidcc-userinfo-post-header", check: func(p *party) { p.userInfoBy(http.MethodPost) }, broken: []mutation{
			fails("POST is not allowed", userInfoPath, http.StatusMethodNotAllowed, func(r *http.Request, _ url.Values) bool { return r.Method == http.MethodPost }),
		}},
		{module: "oidcc-userinfo-post-body", check: userInfoPostBody, broken: []mutation{ignored(userInfoPath, "access_token")}},
		{module: "oidcc-ensure-request-without-nonce-succeeds-for-code-flow", check: func(p *party) { p.login(p.client(1), p.request(p.client(1), "openid", "nonce", "")) }, broken: []mutation{
			refuses("a nonce is required", func(q url.Values) bool { return !q.Has("nonce") }), claim("nonce", "invented"),
		}},
		{module: "oidcc-scope-profile", check: func(p *party) { p.scoped("openid profile", profileClaims...) }, broken: []mutation{without(userInfoPath, "zoneinfo"), claim("name", "Alice")}},
		{module: "oidcc-scope-email", check: func(p *party) { p.scoped("openid email", "email", "email_verified") }, broken: []mutation{
			without(userInfoPath, "email_verified"), member(userInfoPath, "email_verified", "true"), claim("email", "alice@people.example"),
		}},
		{module: "oidcc-scope-address", check: func(p *party) { p.scoped("openid address", "address") }, broken: []mutation{member(userInfoPath, "address", "1 Tom Quad")}},
		{module: "oidcc-scope-phone", check: func(p *party) { p.scoped("openid phone", "phone_number", "phone_number_verified") }, broken: []mutation{
			member(userInfoPath, "phone_number_verified", "false"),
		}},
		{module: "oidcc-scope-all", check: func(p *party) {
			p.scoped("openid profile email address phone", append([]string{"email", "email_verified", "address", "phone_number", "phone_number_verified"}, profileClaims...)...)
		}, broken: []mutation{without(userInfoPath, "phone_number")}},
		{module: "oidcc-alternate-happy-flow", check: alternateFlow, broken: []mutation{
			refuses("openid must come first", func(q url.Values) bool { return q.Get("scope") != "openid" }), without(userInfoPath, "email"),
		}},
		{module: "oidcc-display-page", check: accepts("display", "page"), broken: []mutation{refusesParameter("display")}},
		{module: "oidcc-display-popup", check: accepts("display", "popup"), broken: []mutation{refusesParameter("display")}},
		{module: "oidcc-prompt-login", check: func(p *party) { p.loginAgain(time.Second, "prompt", "login") }, broken: []mutation{ignored(authorizePath, "prompt")}},
		{module: "oidcc-prompt-none-not-logged-in", check: promptNoneNotLoggedIn, broken: []mutation{ignored(authorizePath, "prompt"), issuesCodes}},
		{module: "oidcc-prompt-none-logged-in", check: func(p *party) { p.silently(nil, "prompt", "none") }, broken: []mutation{
			asked("prompt=none is a login", authorizePath, func(v url.Values) {
				if v.Get("prompt") == "none" {
					v.Set("prompt", "login")
				}
			}),
			claimed("auth_time is the time of the token", func(f *fixture, _, claims map[string]any) { claims["auth_time"] = f.clock().Unix() }),
		}},
		{module: "oidcc-max-age-1", check: func(p *party) { p.loginAgain(2*time.Second, "max_age", "1") }, broken: []mutation{ignored(authorizePath, "max_age"), claim("auth_time", nil)}},
		{module: "oidcc-max-age-10000", check: func(p *party) { p.silently([]string{"max_age", "15000"}, "max_age", "10000") }, broken: []mutation{
			claim("auth_time", nil), asked("every login is too old", authorizePath, func(v url.Values) {
				if v.Has("max_age") {
					v.Set("max_age", "0")
				}
			}),
		}},
		{module: "oidcc-ensure-request-with-unknown-parameter-succeeds", check: accepts("extra", "foobar"), broken: []mutation{refusesParameter("extra")}},
		{module: "oidcc-id-token-hint", check: idTokenHint, broken: []mutation{
			asked("no hint is valid", authorizePath, func(v url.Values) {
				if v.Has("id_token_hint") {
					v.Set("id_token_hint", "x")
				}
			}),
		}},
		{module: "oidcc-login-hint", check: accepts("login_hint", "alice"), broken: []mutation{refusesParameter("login_hint")}},
		{module: "oidcc-ui-locales", check: accepts("ui_locales", "se"), broken: []mutation{refusesParameter("ui_locales")}},
		{module: "oidcc-claims-locales", check: accepts("claims_locales", "se"), broken: []mutation{refusesParameter("claims_locales")}},
		{module: "oidcc-ensure-request-with-acr-values-succeeds", check: acrValues, broken: []mutation{refusesParameter("acr_values")}},
		{module: "oidcc-codereuse", check: func(p *party) { p.codeTwice(0) }, broken: []mutation{issuesAnyway}},
		{module: "oidcc-codereuse-30seconds", check: func(p *party) { p.codeTwice(30 * time.Second) }, broken: []mutation{
			issuesAnyway, succeeds("access tokens stay valid", userInfoPath, `{}`),
		}},
		{module: "oidcc-ensure-registered-redirect-uri", check: unregisteredRedirect, broken: []mutation{redirectsErrors}},
		{module: "oidcc-ensure-post-request-succeeds", check: postRequest, broken: []mutation{
			fails("POST is not allowed", authorizePath, http.StatusMethodNotAllowed, func(r *http.Request, v url.Values) bool { return r.Method == http.MethodPost && !v.Has("handle") }),
		}},
		{module: "oidcc-server-client-secret-post", check: func(p *party) { p.whole(p.client(3), p.request(p.client(3), "openid")) }, broken: []mutation{ignored(tokenPath, "client_secret")}},
		{module: "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", check: requestURI, want: skipped, note: "the server supports only pushed requests, and answers `request_uri_not_supported`", broken: []mutation{
			ignored(authorizePath, "request_uri"),
		}},
		{module: "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", check: requestObject, want: skipped, note: "the server supports no request objects, and answers `request_not_supported`", broken: []mutation{
			ignored(authorizePath, "request"),
		}},
		{module: "oidcc-claims-essential", check: claimsEssential, want: warning, note: "the parameter `claims` is ignored, because it asks for more than the scopes that the user allowed", broken: []mutation{
			refusesParameter("claims"),
		}},
		{module: "oidcc-ensure-request-object-with-redirect-uri", check: requestObjectRedirect, broken: []mutation{redirectsErrors}},
		{module: "oidcc-refresh-token", check: refreshToken, broken: []mutation{
			kept("iat"), claimed("another sub after a refresh", func(_ *fixture, _, claims map[string]any) {
				if claims["nonce"] == nil {
					claims["sub"] = "someone-else"
				}
			}),
			issuesAnyway, without(tokenPath, "refresh_token"),
		}},
		{module: "oidcc-ensure-request-with-valid-pkce-succeeds", check: withPKCE, broken: []mutation{ignored(tokenPath, "code_verifier"), refusesParameter("code_challenge")}},
	}
}
