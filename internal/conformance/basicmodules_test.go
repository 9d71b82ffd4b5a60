package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// profileClaims are the claims of the scope profile (OpenID Connect Core, section 5.4).
var profileClaims = strings.Fields("name given_name family_name middle_name nickname profile picture website gender birthdate zoneinfo locale updated_at preferred_username")

// sharedMutations break what the checks of every flow look for.
func sharedMutations() []mutation {
	return []mutation{
		sentBack("another state", func(v url.Values) { v.Set("state", "x") }),
		sentBack("no state", func(v url.Values) { v.Del("state") }),
		sentBack("another iss", func(v url.Values) { v.Set("iss", "https://evil.example") }),
		sentBack("no iss", func(v url.Values) { v.Del("iss") }),
		sentBack("a short code", func(v url.Values) { v.Set("code", "123456") }),
		sentBack("an unknown parameter", func(v url.Values) { v.Set("user", "alice") }),
		header(tokenPath, "Cache-Control", "public"), without(tokenPath, "token_type"), without(tokenPath, "expires_in"), without(tokenPath, "access_token"),
		claim("nonce", "another"), claim("nonce", nil), claim("iss", "https://evil.example"), claim("aud", "another-client"), claim("sub", ""), claim("exp", 1), claim("iat", nil),
		claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), claim("name", "Alice"),
		said("a wrong signature", tokenPath, func(m map[string]any) {
			if text, ok := m["id_token"].(string); ok {
				m["id_token"] = text[:len(text)-8] + "AAAAAAAA"
			}
		}),
		member(userInfoPath, "sub", "someone-else"), member(userInfoPath, "updated_at", "yesterday"), header(userInfoPath, "Content-Type", "text/plain"),
	}
}

func responseTypeMissing(p *party) {
	q := p.request(p.client(1), "openid", "response_type", "")
	p.rejectedOrPage(p.authorize(q), q, "invalid_request", "unsupported_response_type")
}

// register registers a client with some more metadata.
func (p *party) register(more string) *client {
	redirect := "https://client.example/dynamic"
	r := p.newRequest(http.MethodPost, p.endpoint("registration_endpoint"), nil)
	body := `{"redirect_uris":["` + redirect + `"],"client_name":"Dynamic","token_endpoint_auth_method":"client_secret_basic"` + more + `}`
	r, err := http.NewRequest(r.Method, r.URL.String(), strings.NewReader(body))
	if err != nil {
		p.fatalf("%v", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+p.f.initial)
	a := p.send(r)
	if a.status != http.StatusCreated {
		p.fatalf("the registration: %d %s", a.status, a.body)
	}
	return &client{id: a.text("client_id"), secret: a.text("client_secret"), method: a.text("token_endpoint_auth_method"), redirects: []string{redirect}}
}

// dynamic registers a client and logs in to it. The header of its ID token is the result.
func (p *party) dynamic(more string) map[string]any {
	c := p.register(more)
	header, _, err := parts(p.login(c, p.request(c, "openid")).id)
	if err != nil {
		p.fatalf("%v", err)
	}
	return header
}

func idTokenSignature(p *party) {
	if header := p.dynamic(""); header["alg"] != "RS256" {
		p.failf("the ID token of a client that names no algorithm has %v", header["alg"])
	}
}

func idTokenUnsigned(p *party) {
	if !p.lists("id_token_signing_alg_values_supported", "none") {
		p.skip("none is not listed")
	}
	if header := p.dynamic(`,"id_token_signed_response_alg":"none"`); header["alg"] != "none" {
		p.failf("the ID token has %v", header["alg"])
	}
}

// userInfoBy calls UserInfo with the token in the header.
func (p *party) userInfoBy(method string) {
	t := p.login(p.client(1), p.request(p.client(1), "openid"))
	p.described(t, p.userInfo(method, t.access))
}

func userInfoPostBody(p *party) {
	t := p.login(p.client(1), p.request(p.client(1), "openid"))
	a := p.send(p.newRequest(http.MethodPost, p.endpoint("userinfo_endpoint"), url.Values{"access_token": {t.access}}))
	if a.status >= 400 {
		p.warnf("userinfo does not take the token of a form: %d", a.status)
		return
	}
	p.described(t, a)
}

// scoped logs in with scopes. UserInfo has all of these claims, and the ID token none.
func (p *party) scoped(scope string, names ...string) {
	for _, name := range strings.Fields(scope) {
		if !p.lists("scopes_supported", name) {
			p.skip("the scope " + name + " is not listed")
		}
	}
	t, info := p.whole(p.client(1), p.request(p.client(1), scope))
	for _, name := range names {
		if info[name] == nil {
			p.warnf("userinfo has no %s", name)
		}
		if t.claims[name] != nil {
			p.warnf("the ID token has %s", name)
		}
	}
}

func alternateFlow(p *party) {
	q := p.request(p.client(1), "email openid")
	// The parameters in another order, and the scopes reversed.
	query := url.Values{"state": q["state"], "redirect_uri": q["redirect_uri"], "nonce": q["nonce"]}.Encode()
	rest := url.Values{"client_id": q["client_id"], "response_type": q["response_type"], "scope": q["scope"]}.Encode()
	if p.formPost {
		rest += "&response_mode=form_post"
	}
	code := p.accepted(p.browser.open(p.endpoint("authorization_endpoint")+"?"+query+"&"+rest), q)
	t := p.issued(p.client(1), p.exchange(p.client(1), code, q), q)
	info := p.described(t, p.userInfo(http.MethodGet, t.access))
	for _, name := range []string{"email", "email_verified"} {
		if info[name] == nil {
			p.warnf("userinfo has no %s", name)
		}
	}
}

// accepts is a module that adds a parameter, which must not be an error.
func accepts(name, value string) func(*party) {
	return func(p *party) { p.login(p.client(1), p.request(p.client(1), "openid", name, value)) }
}

// loginAgain logs in, and again after a while with parameters that require a new login.
func (p *party) loginAgain(after time.Duration, pairs ...string) {
	first := p.login(p.client(1), p.request(p.client(1), "openid"))
	p.wait(after)
	q := p.request(p.client(1), "openid", pairs...)
	v := p.authorize(q)
	if v.logins == 0 {
		p.failf("the user did not log in again")
	}
	second := p.issued(p.client(1), p.exchange(p.client(1), p.accepted(v, q), q), q)
	before, ok := number(first.claims, "auth_time")
	at, ok2 := number(second.claims, "auth_time")
	if (!ok && q.Has("max_age")) || !ok2 {
		p.fatalf("an ID token has no auth_time")
	}
	if at <= before || p.f.clock().Unix()-at > 5 {
		p.failf("the second auth_time %d is not after %d and now", at, before)
	}
	if first.claims["sub"] != second.claims["sub"] {
		p.failf("another sub")
	}
}

// silently logs in, and again with parameters that allow the login to be used again.
func (p *party) silently(before []string, pairs ...string) {
	first := p.login(p.client(1), p.request(p.client(1), "openid", before...))
	p.wait(time.Second)
	if slices.Contains(pairs, "id_token_hint") {
		pairs = append(pairs, first.id)
	}
	q := p.request(p.client(1), "openid", pairs...)
	v := p.authorize(q)
	if v.logins+v.consents > 0 {
		p.failf("the user saw %d logins and %d questions", v.logins, v.consents)
	}
	second := p.issued(p.client(1), p.exchange(p.client(1), p.accepted(v, q), q), q)
	if first.claims["sub"] != second.claims["sub"] {
		p.failf("another sub")
	}
	_, ok := number(second.claims, "auth_time")
	if q.Has("max_age") && !ok {
		p.failf("no auth_time")
	}
	if first.claims["auth_time"] != second.claims["auth_time"] {
		p.failf("the auth_time changed from %v to %v without a login", first.claims["auth_time"], second.claims["auth_time"])
	}
}

func idTokenHint(p *party) { p.silently(nil, "prompt", "none", "id_token_hint") }

func promptNoneNotLoggedIn(p *party) {
	q := p.request(p.client(1), "openid", "prompt", "none", "state", strings.Repeat("state123", 16))
	v := p.authorize(q)
	if v.logins > 0 {
		p.failf("the user saw a login page")
	}
	p.rejected(v, q, notSilent...)
}

// notSilent are the errors of prompt=none if the user would have to do something.
var notSilent = []string{"login_required", "interaction_required", "account_selection_required", "consent_required"}

func acrValues(p *party) {
	values := []string{"1", "2"}
	if list, ok := p.discovery()["acr_values_supported"].([]any); ok {
		values = nil
		for _, v := range list {
			if text, ok := v.(string); ok {
				values = append(values, text)
			}
		}
	}
	t := p.login(p.client(1), p.request(p.client(1), "openid", "acr_values", strings.Join(values, " ")))
	if acr, _ := t.claims["acr"].(string); !slices.Contains(values, acr) {
		p.warnf("the acr is %q and none of %q", acr, values)
	}
}

// codeTwice exchanges a code again after a while. After that, the first access token is dead.
func (p *party) codeTwice(after time.Duration) {
	c := p.client(1)
	q := p.request(c, "openid")
	code := p.accepted(p.authorize(q), q)
	t := p.issued(c, p.exchange(c, code, q), q)
	p.described(t, p.userInfo(http.MethodGet, t.access))
	p.wait(after)
	p.refused(p.exchange(c, code, q), "invalid_grant")
	if after > 0 {
		p.gone(p.userInfo(http.MethodGet, t.access))
	}
}

func unregisteredRedirect(p *party) {
	q := p.request(p.client(1), "openid")
	p.errorPage(p.authorize(changed(q, "redirect_uri", q.Get("redirect_uri")+"/other")))
}

func postRequest(p *party) {
	c := p.client(1)
	q := p.request(c, "openid")
	code := p.accepted(p.browser.post(p.endpoint("authorization_endpoint"), q), q)
	p.issued(c, p.exchange(c, code, q), q)
}

func requestURI(p *party) {
	q := p.request(p.client(1), "openid", "request_uri", "https://client.example/request.jwt")
	p.unsupported(p.authorize(q), q, "request_uri_not_supported")
}

func requestObject(p *party) {
	q := p.request(p.client(1), "openid")
	inner := map[string]any{}
	for name := range q {
		inner[name] = q.Get(name)
	}
	inner["state"], inner["iss"], inner["aud"] = "inner", q.Get("client_id"), p.f.issuer
	q.Set("request", encodeJSON(map[string]any{"alg": "none"})+"."+encodeJSON(inner)+".")
	p.unsupported(p.authorize(q), q, "request_not_supported")
}

// unsupported checks that a request is rejected with an error that says that its form is not
// supported, and skips the rest. That the server ignores it is a failure.
func (p *party) unsupported(v visit, q url.Values, code string) {
	p.rejected(v, q, code)
	p.skip(code)
}

func requestObjectRedirect(p *party) {
	good := p.client(1).redirects[0]
	q := p.request(p.client(1), "openid", "redirect_uri", good+"/other")
	q.Set("request", encodeJSON(map[string]any{"alg": "none"})+"."+encodeJSON(map[string]any{"redirect_uri": good})+".")
	p.errorPage(p.authorize(q))
}

func claimsEssential(p *party) {
	q := p.request(p.client(1), "openid", "claims", `{"userinfo":{"name":{"essential":true}}}`)
	_, info := p.whole(p.client(1), q)
	if info["name"] == nil {
		p.warnf("userinfo has no name, which claims asks for")
	}
}

func refreshToken(p *party) {
	c, other := p.client(1), p.client(2)
	scope := "openid"
	var more []string
	if p.lists("scopes_supported", "offline_access") {
		scope, more = "openid offline_access", []string{"prompt", "consent"}
	}
	first := p.login(c, p.request(c, scope, more...))
	foreign := p.login(other, p.request(other, scope, more...))
	if first.refresh == "" || foreign.refresh == "" {
		p.fatalf("no refresh_token")
	}
	p.wait(time.Second)
	q := url.Values{"scope": {"openid"}} // without a nonce, which the new ID token does not have
	second := p.issued(c, p.post(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.refresh}, "scope": {"openid"}}), q)
	for _, name := range []string{"iss", "sub", "aud", "auth_time", "azp"} {
		if first.claims[name] != second.claims[name] {
			p.failf("the %s changed from %v to %v", name, first.claims[name], second.claims[name])
		}
	}
	if first.claims["iat"] == second.claims["iat"] {
		p.failf("the iat is still %v", first.claims["iat"])
	}
	p.refused(p.post(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {foreign.refresh}}), "invalid_grant")
}

func withPKCE(p *party) {
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	c := p.client(1)
	q := p.request(c, "openid", "code_challenge", challengeOf(verifier), "code_challenge_method", "S256")
	code := p.accepted(p.authorize(q), q)
	t := p.issued(c, p.exchange(c, code, q, "code_verifier", verifier), q)
	p.described(t, p.userInfo(http.MethodGet, t.access))
}
