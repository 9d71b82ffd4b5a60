package conformance

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// browser is a user's browser with its cookies. The user logs in and answers the pages of the server.
type browser struct {
	p      *party
	jar    *cookiejar.Jar
	denies bool // the user denies what a page asks
	stays  bool // the user answers no page: the first login or consent page is the result
}

func (p *party) newBrowser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // never
	}
	return &browser{p: p, jar: jar}
}

// visit is where the browser arrived.
type visit struct {
	// callback is set if the browser was sent to another site: by GET, or by POST with a form.
	callback *callback
	// status and body are the page of the server if there is no callback.
	status int
	body   string
	// logins, consents and logouts count the pages that the user answered on the way.
	logins, consents, logouts int
}

// callback is a request to a redirect URI.
type callback struct {
	method string
	url    *url.URL
	values url.Values // the query, or the form
}

// isPage reports whether the server showed an error or a question, and sent the browser nowhere.
func (v visit) isPage() bool { return v.callback == nil }

var (
	formTag   = regexp.MustCompile(`<form[^>]*>`)
	inputTag  = regexp.MustCompile(`<input[^>]*>`)
	buttonTag = regexp.MustCompile(`<button[^>]*name="decision"[^>]*value="([^"]*)"`)
	attribute = regexp.MustCompile(`([a-z]+)="([^"]*)"`)
)

func attributes(tag string) map[string]string {
	m := map[string]string{}
	for _, a := range attribute.FindAllStringSubmatch(tag, -1) {
		m[a[1]] = html.UnescapeString(a[2])
	}
	return m
}

// fields returns the hidden fields of the form of a page.
func fields(page string) url.Values {
	v := url.Values{}
	for _, tag := range inputTag.FindAllString(page, -1) {
		if a := attributes(tag); a["type"] == "hidden" {
			v.Add(a["name"], a["value"])
		}
	}
	return v
}

// open opens an address of the server and follows it to its end.
func (b *browser) open(address string) visit { return b.follow(http.MethodGet, address, nil) }

// post sends a form of another site to an address of the server and follows it to its end.
func (b *browser) post(address string, form url.Values) visit {
	return b.follow(http.MethodPost, address, form)
}

func (b *browser) follow(method, address string, form url.Values) visit {
	var v visit
	own := false // the form is of a page of the server
	for range 12 {
		res, body := b.request(method, address, form, own)
		at := res.Request.URL
		if to := res.Header.Get("Location"); to != "" && res.StatusCode >= 300 && res.StatusCode < 400 {
			next, err := at.Parse(to)
			if err != nil {
				b.p.fatalf("the redirect to %q is no URL", to)
			}
			if next.Scheme+"://"+next.Host != b.p.f.issuer {
				v.callback = &callback{http.MethodGet, next, next.Query()}
				return v
			}
			method, address, form = http.MethodGet, next.String(), nil
			continue
		}
		tag := attributes(formTag.FindString(body))
		fields := fields(body)
		switch {
		case strings.Contains(body, "document.forms[0].submit()") && strings.EqualFold(tag["method"], "post"):
			to, err := at.Parse(tag["action"])
			if err != nil {
				b.p.fatalf("the form's action %q is no URL", tag["action"])
			}
			v.callback = &callback{http.MethodPost, to, fields}
			return v
		case b.stays:
			v.status, v.body = res.StatusCode, body
			return v
		case strings.Contains(body, `type="password"`):
			fields.Set("username", userName)
			fields.Set("password", userPassword)
			v.logins++
		case fields.Has("handle"):
			decisions := buttonTag.FindAllStringSubmatch(body, -1)
			if len(decisions) != 2 {
				b.p.fatalf("a page with %d decisions", len(decisions))
			}
			choice := decisions[0][1] // the main button stands first
			for _, d := range decisions {
				if b.denies == (d[1] == "deny" || d[1] == "stay") {
					choice = d[1]
				}
			}
			fields.Set("decision", choice)
			if choice == "logout" || choice == "stay" {
				v.logouts++
			} else {
				v.consents++
			}
		default:
			v.status, v.body = res.StatusCode, body
			return v
		}
		action, err := at.Parse(tag["action"])
		if err != nil {
			b.p.fatalf("the form's action %q is no URL", tag["action"])
		}
		method, address, form, own = http.MethodPost, action.String(), fields, true
	}
	b.p.fatalf("the browser does not arrive after 12 requests")
	return v
}

// request sends one request of the browser. Only a form of the server's own page has its origin.
func (b *browser) request(method, address string, form url.Values, own bool) (*http.Response, string) {
	r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.p.fatalf("%q is no URL", address)
	}
	r.Header.Set("Accept", "text/html")
	cross := method == http.MethodPost && !own
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://client.example")
		if own {
			r.Header.Set("Origin", b.p.f.issuer)
		}
	}
	if !cross { // the cookie is SameSite=Lax
		for _, c := range b.jar.Cookies(r.URL) {
			r.AddCookie(c)
		}
	}
	res, err := b.p.f.http.Do(r)
	if err != nil {
		b.p.fatalf("%s: %v", r.URL.Path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.p.fatalf("%s: %v", r.URL.Path, err)
	}
	b.jar.SetCookies(r.URL, res.Cookies())
	if h := res.Header.Get("Referrer-Policy"); strings.Contains(string(body), "document.forms[0].submit()") && h == "no-referrer" {
		b.p.failf("the page that posts the response sends no origin")
	}
	return res, string(body)
}
