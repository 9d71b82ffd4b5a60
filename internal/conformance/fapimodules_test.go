package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

func fapiDiscovery(p *party) {
	a := p.send(p.newRequest(http.MethodGet, p.f.issuer+metadataPath, nil))
	if a.status != http.StatusOK || a.json == nil {
		p.fatalf("the metadata: %d", a.status)
	}
	p.document = a.json
	if a.json["issuer"] != p.f.issuer || a.json["authorization_response_iss_parameter_supported"] != true {
		p.failf("issuer %v, iss in responses %v", a.json["issuer"], a.json["authorization_response_iss_parameter_supported"])
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "pushed_authorization_request_endpoint", "jwks_uri"} {
		p.secure(name, p.endpoint(name))
	}
	for name, value := range map[string]string{"response_types_supported": "code", "token_endpoint_auth_methods_supported": privateKeyJWT, "code_challenge_methods_supported": "S256"} {
		if !p.lists(name, value) {
			p.failf("%s has no %s", name, value)
		}
	}
	for _, name := range []string{"token_endpoint_auth_signing_alg_values_supported", "dpop_signing_alg_values_supported"} {
		if !slices.ContainsFunc([]string{"PS256", "ES256", "EdDSA", "Ed25519"}, func(alg string) bool { return p.lists(name, alg) }) {
			p.failf("%s has no algorithm of FAPI 2.0", name)
		}
		if p.lists(name, "RS256") {
			p.warnf("%s has RS256", name)
		}
	}
	if _, ok := a.json["require_pushed_authorization_requests"].(bool); !ok {
		p.failf("require_pushed_authorization_requests is %v", a.json["require_pushed_authorization_requests"])
	}
}

// fapiShared break what every flow of FAPI 2.0 needs.
func fapiShared() []mutation {
	return []mutation{
		sentBack("another state", func(v url.Values) { v.Set("state", "x") }), sentBack("no iss", func(v url.Values) { v.Del("iss") }),
		sentBack("a lost registered parameter", func(v url.Values) { v.Del("dummy1") }),
		member(tokenPath, "token_type", "Bearer"), header(tokenPath, "Cache-Control", "public"), without(pushPath, "expires_in"),
		member(pushPath, "request_uri", "urn:ietf:params:oauth:request_uri:1234"),
		answered("a pushed request is answered with 200", pushPath, func(_ *fixture, _ *http.Request, _ url.Values, a *reply) {
			if a.status == http.StatusCreated {
				a.status = http.StatusOK
			}
		}),
		answered("no date", resourcePath, func(_ *fixture, _ *http.Request, _ url.Values, a *reply) { a.header["Date"] = nil }),
		refuses("copies of the parameters are rejected", func(q url.Values) bool { return q.Has("request_uri") }),
	}
}

func happyFlow(p *party) {
	first, _ := p.fapiLogin(p.client(1), p.fapiRequest(p.client(1)), true)
	key := newES256("")
	c := p.client(2)
	q := p.fapiRequest(c, "dpop_jkt", key.thumbprint())
	t := p.boundTokens(c, p.exchangeBound(c, p.authorized(c, q, false), q, key), q)
	p.served(p.resource(t.access, key))
	r := p.newRequest(http.MethodGet, p.f.issuer+resourcePath+"?"+url.Values{"access_token": {first.access}}.Encode(), nil)
	if a := p.send(r); a.status < 400 || a.status >= 500 {
		p.failf("a token in the query: %d", a.status)
	}
}

// pushing is a module of one whole flow with other parameters.
func pushing(pairs ...string) func(*party) {
	return func(p *party) { p.fapiLogin(p.client(1), p.fapiRequest(p.client(1), pairs...), true) }
}

func userRejects(p *party) {
	c := p.client(1)
	q := p.fapiRequest(c, "prompt", "consent")
	p.browser.denies = true
	v := p.browser.open(p.opens(c, p.pushed(c, q), nil))
	if v.consents == 0 {
		p.failf("the user was not asked")
	}
	p.rejected(v, q, "access_denied")
}

func otherCase(p *party) {
	t, key := p.fapiLogin(p.client(1), p.fapiRequest(p.client(1)), true)
	p.served(p.resourceBy("dPOP "+t.access, p.proof(key, http.MethodGet, p.f.issuer+resourcePath, t.access, nil)))
}

// proving is a module of one flow whose proofs have other claims, at both endpoints.
func proving(change func(*party) map[string]any) func(*party) {
	return func(p *party) {
		c, key := p.client(1), newES256("")
		q := p.fapiRequest(c)
		code := p.authorized(c, q, true)
		a := p.postBound(codeForm(code, q), p.assertion(c, "", nil), p.proof(key, http.MethodPost, p.endpoint("token_endpoint"), "", change(p)))
		t := p.boundTokens(c, a, q)
		p.served(p.resourceBy("DPoP "+t.access, p.proof(key, http.MethodGet, p.f.issuer+resourcePath, t.access, change(p))))
	}
}

// failsProofs rejects requests with a proof whose claims meet a condition.
func failsProofs(what, path string, when func(*fixture, map[string]any) bool) mutation {
	return answered(what, path, func(f *fixture, r *http.Request, _ url.Values, a *reply) {
		if _, claims, err := parts(r.Header.Get("DPoP")); err == nil && when(f, claims) {
			*a = reply{http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}}, []byte(`{"error":"invalid_dpop_proof"}`)}
		}
	})
}

func (p *party) atPush(key signer) string {
	return p.proof(key, http.MethodPost, p.endpoint("pushed_authorization_request_endpoint"), "", nil)
}

func mismatchedAtPush(p *party) {
	q := p.fapiRequest(p.client(1), "dpop_jkt", newES256("").thumbprint())
	p.refused(p.push(p.client(1), q, p.atPush(newES256(""))), "invalid_request", "invalid_dpop_proof")
}

// otherKey binds the code to a key, by a proof or by dpop_jkt, and exchanges it with another.
func (p *party) otherKey(byProof bool) {
	c, key := p.client(1), newES256("")
	q := p.fapiRequest(c)
	var proofs []string
	if byProof {
		proofs = []string{p.atPush(key)}
	} else {
		q.Set("dpop_jkt", key.thumbprint())
	}
	p.refused(p.exchangeBound(c, p.authorized(c, q, true, proofs...), q, newES256("")), noProof...)
}

// binding binds the code to a key by a proof, and by dpop_jkt too if both is set.
func (p *party) binding(both bool) {
	c, key := p.client(1), newES256("")
	q := p.fapiRequest(c)
	if both {
		q.Set("dpop_jkt", key.thumbprint())
	}
	t := p.boundTokens(c, p.exchangeBound(c, p.authorized(c, q, true, p.atPush(key)), q, key), q)
	p.served(p.resource(t.access, key))
}

// outside is a module whose URL has another value of a parameter than the pushed request. The pushed
// value is used, or the request is rejected.
func outside(name string) func(*party) {
	return func(p *party) {
		c, key := p.client(1), newES256("")
		q := p.fapiRequest(c)
		if name == "nonce" {
			q = p.fapiRequest(c, "scope", "openid profile", "nonce", "inside-of-the-request")
		}
		copies := url.Values{}
		for n := range q {
			copies.Set(n, q.Get(n))
		}
		copies.Set(name, outsideValue)
		v := p.browser.open(p.opens(c, p.pushed(c, q), copies))
		if v.isPage() || v.callback.values.Has("error") {
			p.rejectedOrPage(v, q, "invalid_request")
			return
		}
		p.boundTokens(c, p.exchangeBound(c, p.accepted(v, q), q, key), q)
	}
}

func stateOutside(p *party) {
	c := p.client(1)
	q := p.fapiRequest(c, "state", "")
	v := p.browser.open(p.opens(c, p.pushed(c, q), url.Values{"state": {outsideValue}}))
	if !v.isPage() && v.callback.values.Has("error") {
		p.rejected(v, q, "invalid_request", "access_denied")
		return
	}
	p.boundTokens(c, p.exchangeBound(c, p.accepted(v, q), q, newES256("")), q)
}

// defaultRedirect gives a pushed request without redirect_uri the registered one.
var defaultRedirect = asked("a default redirect_uri", pushPath, func(v url.Values) {
	if !v.Has("redirect_uri") {
		v.Set("redirect_uri", "https://client.example/one")
	}
})

func withoutRedirect(p *party) {
	a := p.push(p.client(1), p.fapiRequest(p.client(1), "redirect_uri", ""))
	if a.status != http.StatusBadRequest {
		p.failf("a pushed request without redirect_uri: %d", a.status)
	}
	p.refused(a, "invalid_request")
}

func redirectOrDefault(p *party) {
	c := p.client(1)
	a := p.push(c, p.fapiRequest(c, "redirect_uri", ""))
	if a.status != http.StatusCreated {
		p.refused(a, "invalid_request")
		return
	}
	q := p.fapiRequest(c)
	p.response(p.browser.open(p.opens(c, a.text("request_uri"), nil)), q)
}

// onlyCode treats every response type as code.
var onlyCode = asked("every response_type is code", pushPath, func(v url.Values) { v.Set("response_type", "code") })

func otherResponseType(kind string) func(*party) {
	return refusedPush([]string{"response_type", kind}, "unsupported_response_type", "invalid_request", "unauthorized_client")
}

// refusedPush is a module of a request with other parameters that fails.
func refusedPush(pairs []string, codes ...string) func(*party) {
	return func(p *party) { p.refusedAnywhere(p.client(1), p.fapiRequest(p.client(1), pairs...), codes...) }
}

func otherClientID(p *party) {
	c := p.client(1)
	q := p.fapiRequest(c)
	code := p.authorized(c, q, true)
	p.refused(p.postBound(codeForm(code, q, "client_id", p.client(2).id), p.assertion(c, "", nil), p.atToken(newES256(""))), "invalid_client", "invalid_grant")
}

func withoutProof(p *party) {
	c := p.client(1)
	q := p.fapiRequest(c)
	p.refused(p.postBound(codeForm(p.authorized(c, q, true), q), p.assertion(c, "", nil)), noProof...)
}

func othersCode(p *party) {
	q := p.fapiRequest(p.client(1))
	p.refused(p.exchangeBound(p.client(2), p.authorized(p.client(1), q, true), q, newES256("")), "invalid_grant")
}

func codeAgain(p *party) {
	c, key := p.client(1), newES256("")
	q := p.fapiRequest(c)
	code := p.authorized(c, q, true)
	t := p.boundTokens(c, p.exchangeBound(c, code, q, key), q)
	p.served(p.resource(t.access, key))
	p.wait(time.Second)
	p.refused(p.exchangeBound(c, code, q, key), "invalid_grant")
	p.gone(p.resource(t.access, key))
}

func expiredCode(p *party) {
	c := p.client(1)
	q := p.fapiRequest(c)
	code := p.authorized(c, q, true)
	p.wait(62 * time.Second)
	p.refused(p.exchangeBound(c, code, q, newES256("")), "invalid_grant")
}

// assertedAtToken is a module that exchanges a code with a bad assertion.
func assertedAtToken(alg string, change func(*party) map[string]any, codes ...string) func(*party) {
	return func(p *party) {
		c := p.client(1)
		q := p.fapiRequest(c)
		code := p.authorized(c, q, true)
		var claims map[string]any
		if change != nil {
			claims = change(p)
		}
		p.refused(p.postBound(codeForm(code, q), p.assertion(c, alg, claims), p.atToken(newES256(""))), codes...)
	}
}

// assertedAtPush is a module that pushes a request with a bad assertion.
func assertedAtPush(change func(*party) map[string]any) func(*party) {
	return func(p *party) {
		p.refused(p.pushBy(p.fapiRequest(p.client(1)), p.assertion(p.client(1), "", change(p))), noClient...)
	}
}

func withoutAssertion(p *party) {
	c := p.client(1)
	q := p.fapiRequest(c)
	code := p.authorized(c, q, true)
	p.refused(p.postBound(codeForm(code, q, "client_id", c.id), "", p.atToken(newES256(""))), noClient...)
}

// verifierModule is a module that exchanges a code with a wrong verifier, or with none.
func verifierModule(verifier string) func(*party) {
	return func(p *party) {
		c := p.client(1)
		q := p.fapiRequest(c)
		a := p.postBound(codeForm(p.authorized(c, q, true), q, "code_verifier", verifier), p.assertion(c, "", nil), p.atToken(newES256("")))
		if a.status != http.StatusBadRequest {
			p.failf("the status is %d", a.status)
		}
		p.refused(a, "invalid_grant")
	}
}

// otherError answers errors of the token endpoint with another code.
var otherError = answered("invalid_request instead of invalid_grant", tokenPath, func(_ *fixture, _ *http.Request, _ url.Values, a *reply) {
	a.body = []byte(strings.ReplaceAll(string(a.body), "invalid_grant", "invalid_request"))
})

func longNonce(p *party) {
	c := p.client(1)
	q := p.fapiRequest(c, "scope", "openid profile", "nonce", longValue)
	a := p.push(c, q)
	if a.status != http.StatusCreated {
		p.refused(a, "invalid_request")
		return
	}
	p.boundTokens(c, p.exchangeBound(c, p.accepted(p.browser.open(p.opens(c, a.text("request_uri"), q)), q), q, newES256("")), q)
}

func fapiClaims(p *party) {
	if p.discovery()["claims_parameter_supported"] != true {
		p.skip("claims_parameter_supported is false")
	}
	c := p.client(1)
	q := p.fapiRequest(c, "scope", "openid profile", "claims", `{"id_token":{"name":{"essential":true}}}`)
	t, _ := p.fapiLogin(c, q, true)
	if t.claims["name"] == nil {
		p.failf("the ID token has no name, which claims asks for")
	}
}
