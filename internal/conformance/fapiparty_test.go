package conformance

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	privateKeyJWT = "private_key_jwt"
	fapiVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	outsideValue  = "outside-of-the-request"
)

// longValue is a state or a nonce of 384 characters.
var longValue = strings.Repeat("abcdefghijklmnopqrstuvwx", 16)

// clientKey is the key of client 1. It is made once, because that takes long.
var clientKey = sync.OnceValue(func() signer { return newRSA("one", "PS256") })

// The errors with which a client or a proof may be refused.
var (
	noClient = []string{"invalid_client", "invalid_request"}
	noProof  = []string{"invalid_grant", "invalid_request", "invalid_dpop_proof"}
)

// assertion returns a client's assertion with some claims changed. alg is "" for the key's own.
func (p *party) assertion(c *client, alg string, change map[string]any) string {
	now := p.f.clock()
	key := c.keys[0]
	if alg == "" {
		alg = key.alg
	}
	claims := map[string]any{"iss": c.id, "sub": c.id, "aud": p.f.issuer, "jti": rand.Text(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	return key.sign(map[string]any{"alg": alg, "kid": key.id, "typ": "JWT"}, with(claims, change))
}

// ahead are the times of an assertion that a client with a fast clock makes.
func (p *party) ahead(d time.Duration) map[string]any {
	at := p.f.clock().Add(d)
	return map[string]any{"iat": at.Unix(), "nbf": at.Unix(), "exp": at.Add(time.Minute).Unix()}
}

// fapiRequest returns a good request, which a client pushes.
func (p *party) fapiRequest(c *client, pairs ...string) url.Values {
	return changed(p.request(c, "profile", "nonce", "", "code_challenge", challengeOf(fapiVerifier), "code_challenge_method", "S256"), pairs...)
}

// asserting adds an assertion to a form.
func asserting(form url.Values, assertion string) url.Values {
	all := url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
	for name, values := range form {
		all[name] = values
	}
	return all
}

// push pushes a request, with proofs in the header.
func (p *party) push(c *client, q url.Values, proofs ...string) answer {
	return p.pushBy(q, p.assertion(c, "", nil), proofs...)
}

func (p *party) pushBy(q url.Values, assertion string, proofs ...string) answer {
	r := p.newRequest(http.MethodPost, p.endpoint("pushed_authorization_request_endpoint"), asserting(q, assertion))
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	return p.send(r)
}

// pushed pushes a request and returns its URI.
func (p *party) pushed(c *client, q url.Values, proofs ...string) string {
	return p.pushedBy(c, q, p.assertion(c, "", nil), proofs...)
}

func (p *party) pushedBy(_ *client, q url.Values, assertion string, proofs ...string) string {
	a := p.pushBy(q, assertion, proofs...)
	uri := a.text("request_uri")
	seconds, _ := number(a.json, "expires_in")
	if a.status != http.StatusCreated || len(uri[strings.LastIndexByte(uri, ':')+1:]) < 22 || seconds <= 0 {
		p.fatalf("the pushed request: %d %s", a.status, a.body)
	}
	return uri
}

// opens is the address of a pushed request. With copies, it also has the parameters themselves,
// which the server must ignore.
func (p *party) opens(c *client, uri string, copies url.Values) string {
	v := url.Values{}
	for name, values := range copies {
		v[name] = values
	}
	v.Set("client_id", c.id)
	v.Set("request_uri", uri)
	return p.endpoint("authorization_endpoint") + "?" + v.Encode()
}

// proof returns a DPoP proof of a key with some claims changed.
func (p *party) proof(key signer, method, address, access string, change map[string]any) string {
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": p.f.clock().Unix()}
	if access != "" {
		claims["ath"] = hashOf(access)
	}
	return key.sign(map[string]any{"typ": "dpop+jwt", "alg": key.alg, "jwk": key.jwk()}, with(claims, change))
}

// hashOf is "ath" (RFC 9449, section 4.2).
func hashOf(access string) string {
	sum := sha256.Sum256([]byte(access))
	return encode(sum[:])
}

// post sends a form to the token endpoint with an assertion and proofs.
func (p *party) postBound(form url.Values, assertion string, proofs ...string) answer {
	if assertion != "" {
		form = asserting(form, assertion)
	}
	r := p.newRequest(http.MethodPost, p.endpoint("token_endpoint"), form)
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	return p.send(r)
}

// atToken is a good proof for the token endpoint.
func (p *party) atToken(key signer) string {
	return p.proof(key, http.MethodPost, p.endpoint("token_endpoint"), "", nil)
}

// codeForm is the form of a good exchange.
func codeForm(code string, q url.Values, pairs ...string) url.Values {
	return changed(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {q.Get("redirect_uri")}, "code_verifier": {fapiVerifier}}, pairs...)
}

// exchangeBound exchanges a code in a good request.
func (p *party) exchangeBound(c *client, code string, q url.Values, key signer) answer {
	return p.postBound(codeForm(code, q), p.assertion(c, "", nil), p.atToken(key))
}

// authorized pushes a request, opens it and returns the code.
func (p *party) authorized(c *client, q url.Values, copies bool, proofs ...string) string {
	uri := p.pushed(c, q, proofs...)
	var outer url.Values
	if copies {
		outer = q
	}
	return p.accepted(p.browser.open(p.opens(c, uri, outer)), q)
}

// boundTokens checks a successful token response of a client that sent a proof.
func (p *party) boundTokens(c *client, a answer, q url.Values) tokens {
	t := p.issued(c, a, q)
	if !strings.EqualFold(a.text("token_type"), "DPoP") {
		p.failf("the token_type is %q", a.text("token_type"))
	}
	return t
}

// fapiLogin runs the whole flow: push, browser, exchange, and a call of the API.
func (p *party) fapiLogin(c *client, q url.Values, copies bool, proofs ...string) (tokens, signer) {
	key := newES256("")
	t := p.boundTokens(c, p.exchangeBound(c, p.authorized(c, q, copies, proofs...), q, key), q)
	p.served(p.resource(t.access, key))
	return t, key
}

// resource calls the API with a good proof.
func (p *party) resource(access string, key signer) answer {
	return p.resourceBy("DPoP "+access, p.proof(key, http.MethodGet, p.f.issuer+resourcePath, access, nil))
}

// resourceBy calls the API with this Authorization and these proofs.
func (p *party) resourceBy(authorization string, proofs ...string) answer {
	r := p.newRequest(http.MethodGet, p.f.issuer+resourcePath, nil)
	r.Header.Set("Authorization", authorization)
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	return p.send(r)
}

// served checks that the API served a request.
func (p *party) served(a answer) {
	if a.status != http.StatusOK || a.header.Get("Date") == "" {
		p.failf("the API answers %d (date %q): %s %s", a.status, a.header.Get("Date"), a.header.Get("WWW-Authenticate"), a.body)
	}
}

// refusedAnywhere checks that a request fails when it is pushed, or with an error or page when the
// browser opens it.
func (p *party) refusedAnywhere(c *client, q url.Values, codes ...string) {
	a := p.push(c, q)
	if a.status != http.StatusCreated {
		p.refused(a, codes...)
		return
	}
	p.rejectedOrPage(p.browser.open(p.opens(c, a.text("request_uri"), q)), q, codes...)
}
