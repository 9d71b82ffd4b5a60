package comparison

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// accepted reports whether s lets the credential in as Alice.
func (p *Probe) accepted(s *Site, c credential) bool {
	p.w.Helper()
	resp, text := s.call("GET", p.route, "", c.header, c.value)
	switch {
	case resp.StatusCode == http.StatusOK && text == p.subject:
		return true
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusBadRequest: // no credential at all
		return false
	}
	p.w.Fatalf("%s: %d %s", p.route, resp.StatusCode, text)
	return false
}

// statementsPerRequest counts what one request costs the store once the first was made, and
// a minute later.
func (p *Probe) StatementsPerRequest() string {
	c := p.signIn()
	count := func() string {
		n, hashes := p.statements.Load(), p.hasher.Hashed()
		if !p.accepted(p.Site, c) {
			p.w.Errorf("%s: a good credential is refused", p.Name)
		}
		text := fmt.Sprint(p.statements.Load() - n)
		if p.hasher.Hashed() > hashes {
			text += " and a password hash"
		}
		return text
	}
	count()
	n := count()
	if again := count(); again != n {
		p.w.Errorf("%s: %s statements, then %s", p.Name, n, again)
	}
	p.w.after(61 * time.Second)
	if later := count(); later != n {
		return n + ", and once a minute " + later
	}
	return n
}

// stateless is whether a request is answered without the store.
func (p *Probe) Stateless() string {
	return yes(p.StatementsPerRequest() == "0")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// expiry moves the clock: it finds the first second in which an unused credential is
// refused, and whether use puts that off.
func (p *Probe) Expiry() string {
	base := p.w.clock()
	defer p.w.set(base)
	alive := func(seconds int64) bool {
		p.w.set(base)
		c := p.signIn()
		p.w.after(time.Duration(seconds) * time.Second)
		return p.accepted(p.Site, c)
	}
	if alive(10 * 365 * 86400) {
		p.life = 0
		return "never"
	}
	low, high := int64(0), int64(60)
	for alive(high) {
		low, high = high, high*2
	}
	for high-low > 1 {
		if middle := (low + high) / 2; alive(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	p.life = time.Duration(high) * time.Second
	p.w.set(base)
	c := p.signIn()
	for range 2 {
		p.w.after(p.life * 9 / 10)
		if !p.accepted(p.Site, c) {
			return spell(p.life)
		}
	}
	return spell(p.life) + " after the last use"
}

func spell(d time.Duration) string {
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d%u.d == 0 {
			n := int64(d / u.d)
			return fmt.Sprintf("%d %s", n, u.name+strings.Repeat("s", min(1, int(n-1))))
		}
	}
	return d.String()
}

// refresh asks, once the credential has expired, for another one without the password:
// with all that the login gave, wherever something is refreshed. Then it plays the thief
// who uses the first one again.
func (p *Probe) Refresh() string {
	base := p.w.clock()
	defer p.w.set(base)
	c := p.signIn()
	p.w.after(max(p.life, time.Hour) + time.Second)
	renew := func(secret string) (string, string) {
		for path, body := range map[string]string{"/jwt/refresh": `{"refresh":"` + secret + `"}`, "/oauth2/refresh": "grant_type=refresh_token&client_id=app&refresh_token=" + url.QueryEscape(secret)} {
			if resp, text := p.call("POST", path, body); resp.StatusCode == http.StatusOK {
				all := members(text)
				return all["access"] + all["access_token"], all["refresh"] + all["refresh_token"]
			}
		}
		return "", ""
	}
	for _, secret := range c.secrets {
		access, next := renew(secret)
		if access == "" || !p.accepted(p.Site, credential{header: c.header, value: p.keyword + " " + access}) {
			continue
		}
		latest, _ := renew(next)
		p.w.after(2 * time.Minute) // beyond the grace
		again, _ := renew(secret)
		switch ended := !p.accepted(p.Site, credential{header: c.header, value: p.keyword + " " + latest}); {
		case again != "":
			return "yes; a used refresh token works again"
		case ended:
			return "yes; a refresh token used twice revokes the login"
		}
		return "yes; a used refresh token is refused"
	}
	return "no"
}

// devices logs in twice, and out once.
func (p *Probe) Devices() string {
	first, second := p.signIn(), p.signIn()
	if first.value == second.value {
		return "one credential for all"
	}
	if !p.accepted(p.Site, first) || !p.accepted(p.Site, second) {
		return "the last one alone"
	}
	p.logout(first)
	if p.accepted(p.Site, second) {
		return "each its own"
	}
	return "each its own, ended together"
}

// logout calls the scheme's endpoint as a client does.
func (p *Probe) logout(c credential) (status int) {
	_, tok, _ := strings.Cut(c.value, " ")
	prefix, _, _ := strings.Cut(strings.TrimPrefix(p.Scheme.login, "/"), "/")
	if p.Scheme.login == "" {
		prefix = p.route[1:]
	}
	body := ""
	if prefix == "oauth2" {
		body = "client_id=app&token=" + url.QueryEscape(tok)
	}
	header := []string{c.header, c.value}
	if body != "" {
		header = nil
	}
	resp, _ := p.call("POST", "/"+prefix+"/logout", body, header...)
	return resp.StatusCode
}

// ended says when a credential stops, once something should have ended it.
func (p *Probe) ended(c credential) string {
	if !p.accepted(p.Site, c) {
		return "immediately"
	}
	base := p.w.clock()
	defer p.w.set(base)
	if p.w.after(p.life + time.Second); p.life > 0 && !p.accepted(p.Site, c) {
		return "when it expires"
	}
	return "does not revoke it"
}

func (p *Probe) EndedByLogout() string {
	c := p.signIn()
	if status := p.logout(c); status == http.StatusNotFound {
		return "no logout"
	}
	return p.ended(c)
}

func (p *Probe) EndedByLogoutEverywhere() string {
	c := p.signIn()
	if _, err := p.db.BumpEpoch(p.w.Context(), p.subject); err != nil {
		p.w.Fatal(err)
	}
	return p.ended(c)
}

func (p *Probe) EndedByPassword() string {
	c := p.signIn()
	p.accepted(p.Site, c)
	if err := p.passwords.SetPassword(p.w.Context(), p.subject, "another-one-1871"); err != nil {
		p.w.Fatal(err)
	}
	defer func() {
		if err := p.passwords.SetPassword(p.w.Context(), p.subject, secret); err != nil {
			p.w.Fatal(err)
		}
	}()
	return p.ended(c)
}

func (p *Probe) EndedByDisabling() string {
	c := p.signIn()
	p.accepted(p.Site, c)
	set := func(active bool) {
		if err := p.db.SetActive(p.w.Context(), p.subject, active); err != nil {
			p.w.Fatal(err)
		}
	}
	set(false)
	defer set(true)
	return p.ended(c)
}

// crossSite is whether a browser sends the credential by itself, and what then becomes of
// a change that another site makes it send.
func (p *Probe) CrossSite() string {
	c := p.signIn()
	resp, _ := p.call("GET", p.route, "")
	ambient := c.cookie
	for _, challenge := range resp.Header["Www-Authenticate"] {
		ambient = ambient || strings.HasPrefix(challenge, "Basic ")
	}
	post := func(origin, site string) bool {
		resp, _ := p.call("POST", p.route, "", c.header, c.value, "Origin", origin, "Sec-Fetch-Site", site)
		return resp.StatusCode == http.StatusOK
	}
	own, foreign := post(p.URL, "same-origin"), post("https://evil.example", "cross-site")
	switch {
	case !own:
		return "refuses its own pages"
	case ambient && foreign:
		return "needed, and missing"
	case ambient:
		return "needed; refused"
	case foreign:
		return "not needed"
	}
	return "not needed; refused"
}

func (p *Probe) Restart() string {
	c := p.signIn()
	p.accepted(p.Site, c)
	p.stop()
	p.Site = p.w.Start()
	return yes(p.accepted(p.Site, c))
}

// replica uses a credential of one server at another one, and ends it at the first.
func (p *Probe) Replica() string {
	other, c := p.w.Start(), p.signIn()
	defer other.stop()
	if !p.accepted(other, c) {
		return "no"
	}
	end := p.logout(c)
	if end == http.StatusNotFound { // no logout: by the password
		if err := p.passwords.SetPassword(p.w.Context(), p.subject, "another-one-1871"); err != nil {
			p.w.Fatal(err)
		}
		defer func() { _ = p.passwords.SetPassword(p.w.Context(), p.subject, secret) }()
	}
	if p.accepted(other, c) {
		return "yes"
	}
	return "yes, and revoked there immediately"
}
