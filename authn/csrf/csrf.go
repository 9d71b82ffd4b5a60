// Package csrf tells the requests that a site's own pages make from those that other
// sites make a browser send. Every scheme whose credential a browser sends by itself
// needs it: sessions, Basic, RemoteUser. A token that a program puts into a header
// does not.
//
// Browsers say where a request comes from (Origin, Sec-Fetch-Site); Site.Check reads
// that. Old browsers do not always say; for these there are tokens, in Django's form,
// so that front ends which were written for Django keep working.
package csrf

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// Options change a Site; nil is fine.
type Options struct {
	// Hosts are further values of Host that the site is served under, such as
	// "www.app.example"; pages of one may not send to another. The origin's own host
	// is always among them.
	Hosts []string
	// TrustedOrigins may send requests with cookies, as a front end on a host of its
	// own does: "https://front.example", exactly. They are trusted with all that a
	// user may do.
	TrustedOrigins []string
	// Proxies are believed when they report that the client uses https. Behind a
	// proxy that terminates TLS it must be named here, or every cookie is refused.
	Proxies authn.TrustedProxies
	// Strict refuses a request that is not safe and says not at all where it comes
	// from: all that is not a browser of the last years.
	Strict bool
}

// Site is where an application's pages are. It is made once, and safe for concurrent
// use.
type Site struct {
	origins  []string // allowed values of Origin; none in the loopback mode
	hosts    []string
	proxies  authn.TrustedProxies
	strict   bool
	loopback bool
}

// New returns the site whose pages have that origin, as users see it in their
// browser: "https://app.example", with a port where it is not 443. Plain http is
// refused: see Loopback.
func New(origin string, opts *Options) (*Site, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	s := &Site{proxies: o.Proxies, strict: o.Strict}
	for _, text := range append([]string{origin}, o.TrustedOrigins...) {
		normal, err := parseOrigin(text)
		if err != nil {
			return nil, err
		}
		s.origins = append(s.origins, normal)
	}
	s.hosts = []string{strings.TrimPrefix(s.origins[0], "https://")}
	for _, h := range o.Hosts {
		normal, err := parseOrigin("https://" + h)
		if err != nil {
			return nil, fmt.Errorf("csrf: host %q: want a host, and a port where it is not 443", h)
		}
		s.hosts = append(s.hosts, strings.TrimPrefix(normal, "https://"))
	}
	return s, nil
}

// Loopback returns a site for work on one machine, over plain http: a request
// belongs to it where the server listens on a loopback address, the Host is
// 127.0.0.1, [::1] or localhost, and no proxy is in front.
func Loopback() *Site { return &Site{loopback: true} }

// parseOrigin brings an origin to the form in which browsers send it.
func parseOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return "", fmt.Errorf("csrf: origin %q: want https://host or https://host:port", text)
	case u.Scheme != "https":
		return "", fmt.Errorf("csrf: origin %q: cookies need https; for work on one machine there is Loopback", text)
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Opaque != "" || u.ForceQuery || strings.HasSuffix(text, "#"):
		return "", fmt.Errorf("csrf: origin %q: more than https://host:port", text)
	case strings.ContainsAny(u.Host, "*, "):
		return "", fmt.Errorf("csrf: origin %q: name each origin", text)
	}
	return "https://" + strings.ToLower(strings.TrimSuffix(u.Host, ":443")), nil
}

// IsLoopback reports whether the site is that of Loopback.
func (s *Site) IsLoopback() bool { return s.loopback }

// Secure reports whether cookies may travel with the request: it came over https, or
// in the loopback mode stays on this machine.
func (s *Site) Secure(r *http.Request) bool {
	if s.loopback {
		return authn.OnLoopback(r)
	}
	return s.proxies.IsHTTPS(r)
}

// Check refuses with 403, in Django's words, an unsafe request that the site's own
// pages did not make. GET, HEAD and OPTIONS are safe and MUST NOT change anything,
// unless they ask for an upgrade, as a WebSocket does: another site can open one with
// the user's cookies.
//
//   - The scheme is the one that Secure requires, and Host is one of the site's.
//   - Origin, if present, is the site's or a trusted one, with its scheme. "null" is
//     accepted only with the Sec-Fetch-Site "same-origin": a page with the
//     Referrer-Policy "no-referrer" sends it.
//   - Sec-Fetch-Site, if present, is "same-origin" or "none"; for a trusted Origin it
//     can have any value.
//   - Without both, Referer, if present, has such an origin. Without that too the
//     request passes, unless Options.Strict is set: see NeedsToken.
//
// The private cause of the error says what was compared and which option to set; it
// goes to the log.
func (s *Site) Check(r *http.Request) error {
	if safe(r) {
		return nil
	}
	switch {
	case !s.Secure(r):
		return s.refuse(r, "Cookies are accepted over https only.", s.Insecure(r))
	case !s.IsHost(r.Host):
		return s.refuse(r, "Host is none of this site's.", "the host is not the site's: add it to csrf.Options.Hosts, or let the proxy pass the client's Host")
	}
	return s.checkOrigin(r)
}

// checkOrigin is Check after the scheme and the Host.
func (s *Site) checkOrigin(r *http.Request) error {
	origin, site := r.Header["Origin"], r.Header["Sec-Fetch-Site"]
	switch {
	case len(origin) > 1 || len(site) > 1:
		return s.refuse(r, "Origin checking failed - several origins.", "a header occurs twice")
	case len(origin) == 1 && origin[0] == "null":
		if len(site) == 1 && site[0] == "same-origin" {
			return nil
		}
		return s.refuse(r, "Origin checking failed - null does not match any trusted origins.",
			"an opaque origin, such as a sandboxed frame's: it is accepted only with Sec-Fetch-Site same-origin")
	case len(origin) == 1 && !s.allowed(origin[0], r):
		return s.refuse(r, "Origin checking failed - "+shown(origin[0])+" does not match any trusted origins.", foreign)
	}
	if len(site) == 1 {
		trusted := len(origin) == 1 && origin[0] != s.own(r)
		if site[0] != "same-origin" && site[0] != "none" && !trusted {
			return s.refuse(r, "Origin checking failed - the request comes from another site.", foreign)
		}
		return nil
	}
	if len(origin) == 1 {
		return nil
	}
	if referer := r.Header["Referer"]; len(referer) > 0 {
		var u *url.URL
		err := errReferer
		if len(referer) == 1 && len(referer[0]) <= maxReferer {
			u, err = url.Parse(referer[0])
		}
		if err != nil || u.Host == "" {
			return s.refuse(r, "Referer checking failed - Referer is malformed.", "the Referer is malformed")
		}
		if from := strings.ToLower(u.Scheme) + "://" + strings.TrimSuffix(strings.ToLower(u.Host), defaultPort(u.Scheme)); !s.allowed(from, r) {
			return s.refuse(r, "Referer checking failed - "+shown(from)+" does not match any trusted origins.", "Referer is from "+logged(from)+": "+foreign)
		}
		return nil
	}
	if s.strict {
		return s.refuse(r, "Origin checking failed - no Origin.", "csrf.Options.Strict requires Origin or Sec-Fetch-Site")
	}
	return nil
}

// maxReferer is how long a Referer may be, in bytes. Browsers send no more than 4,096 (Referrer
// Policy, section 8.3), and url.Parse takes three times its length.
const maxReferer = 4096

var errReferer = errors.New("csrf: several Referers, or too long")

const foreign = "the request comes from another origin: if that one is yours, add it to csrf.Options.TrustedOrigins"

func safe(r *http.Request) bool { return !authn.MayChange(r) }

// IsHost reports whether a value of Host is one of the site's: that of its origin, or
// one of Options.Hosts; for Loopback 127.0.0.1, [::1] and localhost.
func (s *Site) IsHost(host string) bool {
	if s.loopback {
		return authn.IsLoopbackHost(host)
	}
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	for _, h := range s.hosts {
		if host == h {
			return true
		}
	}
	return false
}

// own is the origin of pages that are served under the request's Host.
func (s *Site) own(r *http.Request) string {
	if s.loopback {
		return "http://" + strings.TrimSuffix(strings.ToLower(r.Host), ":80")
	}
	return "https://" + strings.TrimSuffix(strings.ToLower(r.Host), ":443")
}

// allowed reports an origin that may send to the request's Host.
func (s *Site) allowed(origin string, r *http.Request) bool {
	if origin == s.own(r) { // whose host was checked
		return true
	}
	for i, o := range s.origins {
		if i > 0 && origin == o {
			return true
		}
	}
	return false
}

func defaultPort(scheme string) string {
	if strings.EqualFold(scheme, "http") {
		return ":80"
	}
	return ":443"
}

// SameOrigin is the check of a scheme that was given no Site: as Site.Check, but
// Host may be any, and the pages are those of the origin that the request goes to.
// Where the request did not come over TLS to this very server, a proxy may have
// spoken https to the client: then pages of both schemes are its own.
func SameOrigin(r *http.Request) error {
	if safe(r) {
		return nil
	}
	err := new(Site).checkOrigin(r)
	if err != nil && r.TLS == nil {
		err = (&Site{loopback: true}).checkOrigin(r)
	}
	return err
}

// IsUnsafe reports whether Check would compare origins: the method is not GET, HEAD or
// OPTIONS, or the request asks for an upgrade.
func IsUnsafe(r *http.Request) bool { return !safe(r) }

// shown is a text of the request as it may stand in an answer.
func shown(text string) string {
	if len(text) > 100 {
		return "it"
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return "it"
		}
	}
	return text
}

// NeedsToken reports a request that must carry a token beside its cookie: one that is
// not safe, says neither by Origin nor by Sec-Fetch-Site where it comes from, and has
// a body of a kind that any site's form could send. Programs that send JSON, or no
// body, need none.
func NeedsToken(r *http.Request) bool {
	if safe(r) || len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 {
		return false
	}
	return formType(r, r.ContentLength != 0)
}
