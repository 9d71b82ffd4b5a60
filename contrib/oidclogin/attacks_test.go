package oidclogin_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
)

// login logs a browser in at a provider and returns the status of the callback.
func (b *browser) login(p *provider, name string, pairs ...string) int {
	b.a.t.Helper()
	return b.get(p.allows(b.begin("/login/with/"+name, pairs...))).Code
}

// Every ID token that is not exactly for this login is rejected.
func TestIDTokens(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	other, err := jose.Generate(jose.ES256)
	must(t, err)
	stranger, err := jose.NewKeySet(other)
	must(t, err)
	now := time.Now()
	unsigned := func(text []byte) (string, error) {
		enc := base64.RawURLEncoding
		return enc.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + enc.EncodeToString(text) + ".", nil
	}
	for name, c := range map[string]struct {
		change claims
		sign   func([]byte) (string, error)
	}{
		"attack_nonce of another login":   {change: claims{"nonce": "x"}},
		"attack_nonce missing":            {change: claims{"nonce": nil}},
		"attack_nonce of another type":    {change: claims{"nonce": 1}},
		"attack_token for another client": {change: claims{"aud": "other"}},
		"attack_token of another issuer":  {change: claims{"iss": "https://other.example"}},
		"token authorized for another":    {change: claims{"azp": "other"}},
		"two audiences without azp":       {change: claims{"aud": []string{"app", "other"}}},
		"expired":                         {change: claims{"exp": now.Add(-time.Minute).Unix()}},
		"issued in the future":            {change: claims{"iat": now.Add(time.Hour).Unix()}},
		"authenticated in the future":     {change: claims{"auth_time": now.Add(time.Hour).Unix()}},
		"auth_time a text":                {change: claims{"auth_time": "1"}},
		"another access token":            {change: claims{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
		"no subject":                      {change: claims{"sub": nil}},
		"empty subject":                   {change: claims{"sub": ""}},
		"attack_unsigned":                 {sign: unsigned},
		"attack_signed by a stranger":     {sign: func(text []byte) (string, error) { return stranger.Sign(t.Context(), "JWT", text) }},
		"an access token":                 {sign: func(text []byte) (string, error) { return p.ring.Sign(t.Context(), "at+jwt", text) }},
		"a logout token":                  {sign: func(text []byte) (string, error) { return p.ring.Sign(t.Context(), "logout+jwt", text) }},
		"no token":                        {sign: func([]byte) (string, error) { return "", nil }},
	} {
		p.set(func() { p.change, p.sign = c.change, c.sign })
		b := a.browser()
		if got := b.login(p, "one"); got != http.StatusBadRequest || b.user() != "" {
			t.Errorf("%s: %d, logged in as %q", name, got, b.user())
		}
	}
	if n := a.users(); n != 0 {
		t.Errorf("%d accounts", n)
	}
	p.set(func() { p.change, p.sign = claims{"aud": []string{"app", "other"}, "azp": "app"}, nil })
	if b := a.browser(); b.login(p, "one") != http.StatusSeeOther || b.user() == "" {
		t.Error("the control is rejected")
	}
}

// A response belongs to the browser and the login that began it, and is used once.
func TestForeignResponses_attack_503(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	attacker, victim := a.browser(), a.browser()
	p.set(func() { p.sub = "attacker" })
	response := p.allows(attacker.begin("/login/with/one"))
	if w := victim.get(response); w.Code != http.StatusBadRequest || victim.user() != "" {
		t.Errorf("attack_login_csrf: %d, %q", w.Code, victim.user())
	}
	p.set(func() { p.sub = "victim" })
	own := victim.begin("/login/with/one")
	if w := victim.get(response); w.Code != http.StatusBadRequest || victim.user() != "" {
		t.Errorf("attack_login_csrf in a login: %d, %q", w.Code, victim.user())
	}
	// The attacker's code with the victim's state: PKCE and the nonce are those of another login.
	injected, err := url.Parse(response)
	must(t, err)
	v := injected.Query()
	v.Set("state", own.Query().Get("state"))
	if w := victim.copy().get(origin + injected.Path + "?" + v.Encode()); w.Code != http.StatusBadRequest {
		t.Errorf("attack_code_injected: %d", w.Code)
	}
	for _, twice := range []string{"state", "code", "iss"} {
		if w := victim.copy().get(p.allows(own) + "&" + twice + "=x"); w.Code != http.StatusBadRequest {
			t.Errorf("%s twice: %d", twice, w.Code)
		}
	}
	back := p.allows(own)
	thief := victim.copy() // has the cookie, and later the address
	if w := victim.get(back); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/home" || victim.user() == "" {
		t.Errorf("the victim's own login: %d %s", w.Code, w.Body)
	}
	if w := thief.get(back); w.Code != http.StatusBadRequest || thief.user() != "" {
		t.Errorf("attack_replayed_callback: %d", w.Code)
	}
	if w := victim.get(back); w.Code != http.StatusBadRequest {
		t.Errorf("the back button: %d", w.Code)
	}
	slow := a.browser()
	late := p.allows(slow.begin("/login/with/one"))
	a.ahead.Store(int64(11 * time.Minute))
	if w := slow.get(late); w.Code != http.StatusBadRequest {
		t.Errorf("after 11 minutes: %d", w.Code)
	}
}

// A response of one provider is never used at another (RFC 9207, and a redirect URI for each).
func TestMixUp_attack_502(t *testing.T) {
	honest, evil := newProvider(t), newProvider(t)
	a := newApp(t, client(honest.server), honest.named("honest"), evil.named("evil"))
	b := a.browser()
	at := b.begin("/login/with/honest")
	if got := at.Query().Get("redirect_uri"); got != origin+"/login/with/honest/callback" {
		t.Errorf("redirect URI %q", got)
	}
	response := honest.allows(at)
	if w := b.copy().get(strings.Replace(response, "/honest/", "/evil/", 1)); w.Code != http.StatusBadRequest {
		t.Errorf("attack_mix_up at the other callback: %d", w.Code)
	}
	swapped := b.copy() // both cookies, with the values swapped
	swapped.begin("/login/with/evil")
	const one, two = "__Host-oidclogin-honest", "__Host-oidclogin-evil"
	swapped.cookies[one], swapped.cookies[two] = swapped.cookies[two], swapped.cookies[one]
	if w := swapped.get(strings.Replace(response, "/honest/", "/evil/", 1)); w.Code != http.StatusBadRequest {
		t.Errorf("attack_mix_up with a swapped cookie: %d", w.Code)
	}
	u, err := url.Parse(response)
	must(t, err)
	for _, iss := range []string{evil.server.URL, honest.server.URL + "/", ""} {
		v := u.Query()
		v.Set("iss", iss)
		if w := b.copy().get(origin + u.Path + "?" + v.Encode()); w.Code != http.StatusBadRequest {
			t.Errorf("attack_mix_up iss %q: %d", iss, w.Code)
		}
	}
	v := u.Query()
	v.Del("iss")
	if w := b.copy().get(origin + u.Path + "?" + v.Encode()); w.Code != http.StatusBadRequest {
		t.Errorf("attack_mix_up without iss: %d", w.Code)
	}
	if w := b.get(response); w.Code != http.StatusSeeOther {
		t.Errorf("the control: %d %s", w.Code, w.Body)
	}
	// The same subject of two issuers is two users.
	other := a.browser()
	evil.set(func() { evil.change = claims{"preferred_username": "another name"} })
	if got := other.login(evil, "evil"); got != http.StatusSeeOther || other.user() == b.user() || other.user() == "" {
		t.Errorf("attack_same_subject: %d, %q and %q", got, other.user(), b.user())
	}
}

// An address never logs in to an account that has it.
func TestAddressOfAnAccount(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	a.add("1", "alice@example.com", "alice@example.com")
	for _, verified := range []any{true, false, nil} {
		p.set(func() {
			p.change = claims{"preferred_username": "alice@example.com", "email": "alice@example.com", "email_verified": verified}
		})
		b := a.browser()
		if got := b.login(p, "one"); got != http.StatusForbidden || b.user() != "" {
			t.Errorf("attack_unverified_email %v: %d, %q", verified, got, b.user())
		}
	}
	list, err := a.accounts.Links(t.Context(), "1")
	if err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// Only a page of the application begins a login, and it ends at a local path.
func TestBegin(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	for name, header := range map[string][2]string{
		"attack_cross_site": {"Sec-Fetch-Site", "cross-site"}, "attack_origin": {"Origin", "https://evil.example"}, "no header": {"X-None", "1"},
	} {
		r := formOf("/login/with/one")
		r.Header.Set(header[0], header[1])
		if w := a.browser().send(r); w.Code != http.StatusForbidden || w.Header().Get("Location") != "" || len(w.Result().Cookies()) != 0 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	for next, want := range map[string]string{
		"/notes?a=b": "/notes?a=b", "//evil.example": "/home", "https://evil.example/": "/home", `/\evil.example`: "/home", "": "/home", "notes": "/home",
	} {
		b := a.browser()
		if w := b.get(p.allows(b.begin("/login/with/one", "next", next))); w.Header().Get("Location") != want {
			t.Errorf("attack_open_redirect %q: %q", next, w.Header().Get("Location"))
		}
	}
	b := a.browser()
	at := b.begin("/login/with/one")
	q := at.Query()
	if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || len(q.Get("state")) < 26 || len(q.Get("nonce")) < 26 || q.Get("scope") != "openid profile email" {
		t.Errorf("%s", at)
	}
	for name, value := range b.cookies {
		if strings.Contains(value, q.Get("state")) || strings.Contains(value, q.Get("nonce")) {
			t.Errorf("cookie %s can be read", name)
		}
	}
}

// Every change of the sealed cookie makes it useless.
func TestCookieIsAuthentic(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	b := a.browser()
	response := p.allows(b.begin("/login/with/one"))
	const name = "__Host-oidclogin-one"
	good := b.cookies[name]
	for i := range good {
		if i%7 != 0 {
			continue
		}
		c := b.copy()
		changed := []byte(good)
		if changed[i] ^= 1; changed[i] == '.' {
			continue
		}
		c.cookies[name] = string(changed)
		if w := c.get(response); w.Code != http.StatusBadRequest || c.user() != "" {
			t.Fatalf("byte %d: %d", i, w.Code)
		}
	}
	for _, bad := range []string{"", ".", good[:20], good + "A", "x." + good} {
		c := b.copy()
		c.cookies[name] = bad
		if w := c.get(response); w.Code != http.StatusBadRequest {
			t.Errorf("%.10q: %d", bad, w.Code)
		}
	}
	if w := b.get(response); w.Code != http.StatusSeeOther {
		t.Errorf("the control: %d", w.Code)
	}
}
