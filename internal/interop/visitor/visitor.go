// Package visitor is a browser without a screen or scripts. It follows an independent client's
// redirects to the examples' authorization server, logs in there, and answers the consent page.
package visitor

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Visitor is a user with a browser. It keeps cookies.
type Visitor struct {
	// Name and Password are typed into the login page.
	Name, Password string
	// Deny rejects what the consent page asks.
	Deny bool
	// Callback is the client's redirect URI if the client has no server of its own. The visitor
	// stops at this address.
	Callback string
	// Asked is the text of the last consent page.
	Asked string

	jar http.CookieJar
}

// Alice returns the user whom each example has.
func Alice() *Visitor { return &Visitor{Name: "alice", Password: "wonderland-42"} }

// Page is the page at which the visitor ended.
type Page struct {
	Status int // 0 at the callback
	URL    *url.URL
	Text   string
}

var (
	hidden = regexp.MustCompile(`<input[^>]*type="?hidden"?[^>]*>`)
	attr   = regexp.MustCompile(`(name|value)="([^"]*)"`)
)

// Open goes to an address, and through all login and consent pages on the way.
func (v *Visitor) Open(address string) (Page, error) {
	p, err := v.Send(http.MethodGet, address, nil)
	for step := 0; err == nil && step < 3; step++ {
		form := fields(p.Text)
		switch {
		case strings.Contains(p.Text, `name="password"`):
			form.Set("username", v.Name)
			form.Set("password", v.Password)
		case strings.Contains(p.Text, `name="decision"`):
			v.Asked = p.Text
			form.Set("decision", "allow")
			if v.Deny {
				form.Set("decision", "deny")
			}
		default:
			return p, nil
		}
		p, err = v.Send(http.MethodPost, p.URL.String(), form)
	}
	return p, err
}

// fields returns the hidden fields of a page.
func fields(page string) url.Values {
	form := url.Values{}
	for _, field := range hidden.FindAllString(page, -1) {
		values := map[string]string{}
		for _, m := range attr.FindAllStringSubmatch(field, -1) {
			values[m[1]] = html.UnescapeString(m[2])
		}
		form.Set(values["name"], values["value"])
	}
	return form
}

// Send sends one request as the page of the address itself would, and follows redirects.
func (v *Visitor) Send(method, address string, form url.Values) (Page, error) {
	if v.jar == nil {
		v.jar, _ = cookiejar.New(nil) // never fails without options
	}
	var back *url.URL
	c := &http.Client{Jar: v.jar, Timeout: time.Minute, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		switch {
		case v.Callback != "" && strings.HasPrefix(r.URL.String(), v.Callback+"?"):
			back = r.URL
			return http.ErrUseLastResponse
		case len(via) > 10:
			return fmt.Errorf("visitor: too many redirects, at %s", r.URL.Redacted())
		}
		return nil
	}}
	r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return Page{}, err
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8") // some proxies send only pages to the login
	if method != http.MethodGet {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := c.Do(r)
	if err != nil {
		return Page{}, err
	}
	defer resp.Body.Close()
	if back != nil {
		return Page{URL: back}, nil
	}
	text, err := io.ReadAll(resp.Body)
	return Page{Status: resp.StatusCode, URL: resp.Request.URL, Text: string(text)}, err
}
