package conformance

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// client is a registered client.
type client struct {
	id, method, secret string
	keys               []signer // for private_key_jwt; the first signs
	redirects, logouts []string
	scopes             []string
	untrusted          bool // users are asked for consent
}

// record returns the client's record.
func (c *client) record(f *fixture) storage.Client {
	r := storage.Client{
		ID: c.id, Name: c.id, Method: c.method, RedirectURIs: c.redirects, LogoutURIs: c.logouts, Scopes: c.scopes,
		Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Trusted: !c.untrusted, Created: f.clock(),
	}
	if len(c.keys) > 0 {
		r.Keys = c.keys[0].set()
		return r
	}
	text, digest, err := oauth2.NewSecret()
	if err != nil {
		panic(err)
	}
	c.secret, r.Secret = text, digest
	return r
}

// party is the relying party that a module plays, with a user's browser.
type party struct {
	*report
	f        *fixture
	browser  *browser
	formPost bool // requests have response_mode=form_post
	document map[string]any
}

// client returns the client with that number, from 1.
func (p *party) client(n int) *client { return p.f.clients[n-1] }

// answer is a response to a client.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any // nil if the body is no JSON object
}

func (a answer) text(name string) string { s, _ := a.json[name].(string); return s }

// send sends a request of the client itself.
func (p *party) send(r *http.Request) answer {
	res, err := p.f.http.Do(r)
	if err != nil {
		p.fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(body)}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind == "application/json" || kind == "application/jwk-set+json" {
		_ = json.Unmarshal(body, &a.json)
	}
	return a
}

func (p *party) newRequest(method, address string, form url.Values) *http.Request {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, address, body)
	if err != nil {
		p.fatalf("%q is no URL", address)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// discovery returns the server's metadata, as clients of OpenID Connect read it.
func (p *party) discovery() map[string]any {
	if p.document == nil {
		a := p.send(p.newRequest(http.MethodGet, p.f.issuer+"/.well-known/openid-configuration", nil))
		if a.status != http.StatusOK || a.json == nil {
			p.fatalf("the metadata: %d %s", a.status, a.body)
		}
		p.document = a.json
	}
	return p.document
}

// endpoint returns the URL of an endpoint in the metadata.
func (p *party) endpoint(name string) string {
	u, _ := p.discovery()[name].(string)
	if u == "" {
		p.fatalf("the metadata has no %s", name)
	}
	return u
}

// lists reports whether a list of the metadata has a value.
func (p *party) lists(name, value string) bool {
	list, _ := p.discovery()[name].([]any)
	return slices.Contains(list, any(value))
}

// keySet returns the server's public keys.
func (p *party) keySet() (keys []map[string]any) {
	a := p.send(p.newRequest(http.MethodGet, p.endpoint("jwks_uri"), nil))
	list, _ := a.json["keys"].([]any)
	for _, k := range list {
		if m, ok := k.(map[string]any); ok {
			keys = append(keys, m)
		}
	}
	if a.status != http.StatusOK || len(keys) == 0 {
		p.fatalf("the key set: %d %s", a.status, a.body)
	}
	return keys
}

// request returns a good authorization request. A value "" among the pairs removes a parameter.
func (p *party) request(c *client, scope string, pairs ...string) url.Values {
	v := url.Values{
		"response_type": {"code"}, "client_id": {c.id}, "redirect_uri": {c.redirects[0]}, "scope": {scope}, "state": {rand.Text()}, "nonce": {rand.Text()},
	}
	if p.formPost {
		v.Set("response_mode", "form_post")
	}
	return changed(v, pairs...)
}

// changed sets parameters, or removes them if their value is "".
func changed(v url.Values, pairs ...string) url.Values {
	for i := 0; i+1 < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v
}

// authorize sends the browser to the server with a request.
func (p *party) authorize(q url.Values) visit {
	return p.browser.open(p.endpoint("authorization_endpoint") + "?" + q.Encode())
}

// tokens are the response to an exchange.
type tokens struct {
	answer
	access, refresh, id string
	claims              map[string]any // of the ID token
	request             url.Values
}

// post sends a form to the token endpoint as a client that has a secret.
func (p *party) post(c *client, form url.Values) answer {
	r := form
	if c.method == oauth2.SecretPost {
		r = changed(form, "client_id", c.id, "client_secret", c.secret)
	}
	request := p.newRequest(http.MethodPost, p.endpoint("token_endpoint"), r)
	if c.method == oauth2.SecretBasic {
		request.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	}
	return p.send(request)
}

// exchange exchanges a code and returns what came.
func (p *party) exchange(c *client, code string, q url.Values, pairs ...string) answer {
	return p.post(c, changed(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {q.Get("redirect_uri")}}, pairs...))
}

// login runs the whole flow of a request: the browser, the exchange and the checks of both.
func (p *party) login(c *client, q url.Values) tokens {
	code := p.accepted(p.authorize(q), q)
	return p.issued(c, p.exchange(c, code, q), q)
}

// whole is login with a call of UserInfo.
func (p *party) whole(c *client, q url.Values) (tokens, map[string]any) {
	t := p.login(c, q)
	return t, p.described(t, p.userInfo(http.MethodGet, t.access))
}

// userInfo calls UserInfo with the token in the header.
func (p *party) userInfo(method, access string) answer {
	r := p.newRequest(method, p.endpoint("userinfo_endpoint"), nil)
	r.Header.Set("Authorization", "Bearer "+access)
	return p.send(r)
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return encode(sum[:])
}

// number returns a claim as a number.
func number(m map[string]any, name string) (int64, bool) {
	n, ok := m[name].(float64)
	return int64(n), ok
}

func (p *party) wait(d time.Duration) { p.f.advance(d) }
