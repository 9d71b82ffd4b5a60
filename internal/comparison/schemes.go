package comparison

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// Scheme describes how a client uses one scheme.
type Scheme struct {
	Name    string // column of the table
	route   string // answers with the authenticated subject
	login   string // login endpoint, if there is one
	keyword string // authentication scheme of the Authorization header; "" for a cookie
	member  string // member of the login response that holds the credential
}

// Schemes are the columns of the table.
var Schemes = []Scheme{
	{"static token", "/token", "/token/login", "Token", "token"},
	{"device token (knox)", "/knox", "/knox/login", "Knox", "token"},
	{"JWT", "/jwt", "/jwt/login", "Bearer", "access"},
	{"JWT, verified by another service", "/elsewhere", "/jwt/login", "Bearer", "access"},
	{"OAuth2, opaque", "/oauth2", "", "Bearer", "access_token"},
	{"session", "/session", "/session/login", "", ""},
	{"Basic", "/basic", "", "Basic", ""},
	{"Basic, cached", "/cached", "", "Basic", ""},
}

// credential is what a login gave.
type credential struct {
	header, value string
	cookie        bool     // the server set it as a cookie
	secrets       []string // all that must stay secret
}

// probe asks one scheme the questions.
type Probe struct {
	Scheme
	*Site
	life time.Duration // of its credential; 0 is for ever
}

func (p *Probe) signIn() credential {
	p.w.Helper()
	switch {
	case p.keyword == "Basic":
		return credential{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(alice+":"+secret)), false, []string{secret}}
	case p.route == "/oauth2":
		return p.authorize()
	}
	resp, text := p.call("POST", p.login, `{"username":"`+alice+`","password":"`+secret+`"}`)
	if resp.StatusCode != http.StatusOK {
		p.w.Fatalf("%s: %d %s", p.login, resp.StatusCode, text)
	}
	if p.keyword == "" {
		c := resp.Cookies()[0]
		return credential{"Cookie", c.Name + "=" + c.Value, true, []string{c.Value}}
	}
	return p.bearer(text)
}

// bearer takes the credential from an answer: what is long enough to be one is secret.
func (p *Probe) bearer(text string) credential {
	c, all := credential{header: "Authorization"}, members(text)
	c.value = p.keyword + " " + all[p.member]
	for name, v := range all {
		if len(v) >= 40 && name != "scope" {
			c.secrets = append(c.secrets, v)
		}
	}
	slices.Sort(c.secrets)
	return c
}

// authorize walks through an authorization code with PKCE.
func (p *Probe) authorize() credential {
	browser := &Probe{Scheme: Schemes[5], Site: p.Site}
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	sum := sha256.Sum256([]byte(verifier))
	resp, text := p.call("GET", "/oauth2/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {callback}, "scope": {"all"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), "", "Cookie", browser.signIn().value)
	if resp.StatusCode == http.StatusOK { // the consent page
		form := url.Values{"decision": {"allow"}}
		for _, m := range regexp.MustCompile(`name="(handle|csrfmiddlewaretoken)" value="([^"]+)"`).FindAllStringSubmatch(text, -1) {
			form.Set(m[1], m[2])
		}
		resp, text = p.call("POST", "/oauth2/authorize", form.Encode(), "Cookie", resp.Request.Header.Get("Cookie"), "Origin", p.URL)
	}
	to, err := resp.Location()
	if err != nil {
		p.w.Fatalf("authorize: %d %s", resp.StatusCode, text)
	}
	resp, text = p.call("POST", "/oauth2/refresh", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"app"}, "redirect_uri": {callback}, "code_verifier": {verifier}, "code": {to.Query().Get("code")},
	}.Encode())
	if resp.StatusCode != http.StatusOK {
		p.w.Fatalf("token: %d %s", resp.StatusCode, text)
	}
	return p.bearer(text)
}
