package conformance

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The checks that every flow shares.

// accepted checks a successful authorization response and returns its code.
func (p *party) accepted(v visit, q url.Values) string {
	values := p.response(v, q)
	if e := values.Get("error"); e != "" {
		p.fatalf("the request was rejected: %s, %s", e, values.Get("error_description"))
	}
	code := values.Get("code")
	if len(code) < 22 { // 128 bits in base64url
		p.fatalf("the code %q has less than 128 bits", code)
	}
	p.nothingElse("the response", values, q, "code", "state", "iss")
	return code
}

// rejected checks an error response. It has one of these codes.
func (p *party) rejected(v visit, q url.Values, codes ...string) {
	values := p.response(v, q)
	p.oneError("the response", values.Get("error"), values.Get("error_description"), codes)
	if values.Has("code") {
		p.failf("an error with a code")
	}
	p.nothingElse("the error response", values, q, "error", "error_description", "error_uri", "state", "iss")
}

// rejectedOrPage is rejected, but the server may show a page instead.
func (p *party) rejectedOrPage(v visit, q url.Values, codes ...string) {
	if v.isPage() {
		p.errorPage(v)
		return
	}
	p.rejected(v, q, codes...)
}

// errorPage checks that the browser was sent nowhere and that the page is an error.
func (p *party) errorPage(v visit) {
	switch {
	case !v.isPage():
		p.failf("the browser was sent to %s", v.callback.url.Redacted())
	case v.status < 400 || v.status >= 500:
		p.failf("the page has status %d", v.status)
	}
}

// response checks what success and error responses share, and returns the values.
func (p *party) response(v visit, q url.Values) url.Values {
	if v.isPage() {
		p.fatalf("the browser was not sent back, but got %d %.300s", v.status, v.body)
	}
	got := v.callback
	registered, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		p.fatalf("the module's redirect_uri: %v", err)
	}
	if got.url.Scheme != registered.Scheme || got.url.Host != registered.Host || got.url.Path != registered.Path {
		p.fatalf("the browser was sent to %s", got.url.Redacted())
	}
	for name := range registered.Query() {
		if got.url.Query().Get(name) != registered.Query().Get(name) {
			p.failf("the registered parameter %s is lost", name)
		}
	}
	switch {
	case p.formPost && got.method != http.MethodPost:
		p.failf("the response came by %s and not by POST", got.method)
	case p.formPost && (got.url.Query().Has("code") || got.url.Query().Has("error")):
		p.failf("the URL of the response has a code or an error")
	case !p.formPost && got.method != http.MethodGet:
		p.failf("the response came by %s", got.method)
	}
	values := got.values
	if values.Get("state") != q.Get("state") || values.Has("state") != q.Has("state") {
		p.failf("the state is %q and not %q", values.Get("state"), q.Get("state"))
	}
	switch {
	case values.Has("iss") && values.Get("iss") != p.f.issuer:
		p.failf("the iss is %q", values.Get("iss"))
	case !values.Has("iss") && (p.discovery()["authorization_response_iss_parameter_supported"] == true):
		p.failf("the response has no iss")
	}
	return values
}

// nothingElse warns about parameters that nobody registered or defined.
func (p *party) nothingElse(what string, values, q url.Values, known ...string) {
	registered, _ := url.Parse(q.Get("redirect_uri"))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) && !registered.Query().Has(name) {
			p.warnf("%s has %s", what, name)
		}
	}
}

// oneError checks the code and the description of an error.
func (p *party) oneError(what, code, description string, codes []string) {
	if !slices.Contains(codes, code) {
		p.failf("%s has the error %q, want one of %q", what, code, codes)
	}
	for _, c := range description {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			p.warnf("%s has a description with %q", what, c)
		}
	}
}

// issued checks a successful token response. If openid was requested, it checks the ID token.
func (p *party) issued(c *client, a answer, q url.Values) tokens {
	t := tokens{answer: a, access: a.text("access_token"), refresh: a.text("refresh_token"), id: a.text("id_token"), request: q}
	if a.status != http.StatusOK || a.json == nil {
		p.fatalf("the token endpoint: %d %s", a.status, a.body)
	}
	if !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
		p.failf("the token response may be stored: %q", a.header.Get("Cache-Control"))
	}
	if t.access == "" || a.text("token_type") == "" {
		p.fatalf("the token response has no access_token or no token_type")
	}
	if _, ok := number(a.json, "expires_in"); !ok {
		p.warnf("the token response has no expires_in")
	}
	if slices.Contains(strings.Fields(q.Get("scope")), "openid") {
		p.identified(c, &t)
	}
	return t
}

// idTokenClaims are the claims that an ID token may have without a warning.
var idTokenClaims = strings.Fields("iss sub aud exp iat auth_time nonce acr amr azp at_hash c_hash s_hash nbf jti sid txn")

// identified checks the ID token of a response.
func (p *party) identified(c *client, t *tokens) {
	header, claims, err := parts(t.id)
	if err != nil {
		p.fatalf("the ID token: %v", err)
	}
	t.claims = claims
	if header["kid"] == nil {
		p.failf("the ID token names no key")
	}
	if err := verify(t.id, p.keySet()); err != nil {
		p.failf("the ID token: %v", err)
	}
	aud, _ := claims["aud"].(string)
	if list, ok := claims["aud"].([]any); ok && slices.Contains(list, any(c.id)) {
		aud = c.id
	}
	if claims["iss"] != p.f.issuer || aud != c.id {
		p.failf("the ID token is of %v for %v", claims["iss"], claims["aud"])
	}
	if sub, _ := claims["sub"].(string); sub == "" || len(sub) > 255 {
		p.failf("the ID token has the sub %q", sub)
	}
	now := p.f.clock().Unix()
	exp, ok := number(claims, "exp")
	iat, ok2 := number(claims, "iat")
	if !ok || !ok2 || exp <= now || iat > now+10 || iat < now-300 {
		p.failf("the ID token was issued at %v and expires at %v, now is %d", claims["iat"], claims["exp"], now)
	}
	if nonce, _ := claims["nonce"].(string); nonce != t.request.Get("nonce") {
		p.failf("the nonce is %q and not %q", nonce, t.request.Get("nonce"))
	}
	if hash, ok := claims["at_hash"]; ok && hash != halfHash(t.access) {
		p.failf("the at_hash %v is wrong", hash)
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if !slices.Contains(idTokenClaims, name) {
			p.warnf("the ID token has %s", name)
		}
	}
}

// refused checks an error of the token endpoint. It has one of these codes.
func (p *party) refused(a answer, codes ...string) {
	code := a.text("error")
	switch {
	case a.status == http.StatusBadRequest, a.status == http.StatusUnauthorized && code == "invalid_client":
	default:
		p.failf("the endpoint answers %d %.200s, want an error", a.status, a.body)
	}
	if a.json == nil {
		p.failf("the error is no JSON")
	}
	p.oneError("the answer", code, a.text("error_description"), codes)
}

// gone checks that an API refuses a token.
func (p *party) gone(a answer) {
	if a.status < 400 || a.status >= 500 {
		p.warnf("the access token is still accepted: %d", a.status)
	}
}

// booleans and textClaims are the standard claims by type; updated_at is a number, address an object.
var (
	booleans   = []string{"email_verified", "phone_number_verified"}
	textClaims = strings.Fields("sub name given_name family_name middle_name nickname preferred_username profile picture website email gender birthdate zoneinfo locale phone_number")
)

// described checks a response of UserInfo and returns its claims.
func (p *party) described(t tokens, a answer) map[string]any {
	if a.status != http.StatusOK || a.json == nil {
		p.fatalf("userinfo: %d %.200s", a.status, a.body)
	}
	if a.json["sub"] != t.claims["sub"] {
		p.failf("the sub of userinfo is %v and not %v", a.json["sub"], t.claims["sub"])
	}
	for name, value := range a.json {
		_, isText := value.(string)
		_, isBool := value.(bool)
		_, isNumber := value.(float64)
		_, isObject := value.(map[string]any)
		if slices.Contains(textClaims, name) && !isText || slices.Contains(booleans, name) && !isBool || name == "updated_at" && !isNumber || name == "address" && !isObject {
			p.failf("the claim %s is a %T", name, value)
		}
	}
	return a.json
}
