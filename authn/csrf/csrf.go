// Package csrf protects against cross-site request forgery: requests that another site makes a
// browser send, with the user's credentials attached.
//
// Every scheme with credentials that a browser sends automatically needs this protection: sessions,
// Basic, RemoteUser. A token that a program sets in a header does not need it.
//
// Create a [Site] with [New] and pass it to the schemes. [Site.Check] reads the headers with which
// browsers report the origin of a request (Origin, Sec-Fetch-Site). Some old browsers send neither.
// Requests from such browsers need a CSRF token (see [NeedsToken]). The tokens have Django's
// format, so front ends written for Django keep working.
package csrf

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// Options configure a [Site]. A nil *Options means all defaults.
type Options struct {
	// Hosts are further valid values of Host, such as "www.app.example", in addition to the
	// origin's host. Pages of one host cannot send unsafe requests to another.
	Hosts []string
	// TrustedOrigins are other origins that may send unsafe requests with cookies, such as a front
	// end on its own host: "https://front.example", exactly. They can do everything that the user
	// may do.
	TrustedOrigins []string
	// Proxies are trusted to report that the client uses https. Name a proxy that terminates TLS
	// here, otherwise every cookie is rejected.
	Proxies authn.TrustedProxies
	// Strict rejects unsafe requests without Origin, Sec-Fetch-Site and Referer. Only old browsers
	// and programs send such requests.
	Strict bool
}

// Site describes where the pages of an application are served. It is safe for concurrent use.
type Site struct {
	origins  []string // allowed values of Origin; empty for Loopback
	hosts    []string
	proxies  authn.TrustedProxies
	strict   bool
	loopback bool
}

// New returns a site with an origin as users see it in the browser, such as "https://app.example",
// with a port if it is not 443. For development over plain http use [Loopback]. New returns an
// error if the origin, a trusted origin or a host is malformed. It also returns an error if an
// origin is not https.
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
			return nil, fmt.Errorf("csrf: New: invalid host %q (host, or host:port if the port is not 443)", h)
		}
		s.hosts = append(s.hosts, strings.TrimPrefix(normal, "https://"))
	}
	return s, nil
}

// Loopback returns a site for development on one machine over plain http. A request belongs to it
// if the server listens on a loopback address, Host is 127.0.0.1, [::1] or localhost, and the
// request has no forwarding header of a proxy.
func Loopback() *Site { return &Site{loopback: true} }

// parseOrigin returns an origin in the form in which browsers send it.
func parseOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return "", fmt.Errorf("csrf: New: invalid origin %q (https://host or https://host:port)", text)
	case u.Scheme != "https":
		return "", fmt.Errorf("csrf: New: origin %q is not https (for development on one machine use Loopback)", text)
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Opaque != "" || u.ForceQuery || strings.HasSuffix(text, "#"):
		return "", fmt.Errorf("csrf: New: origin %q has more than scheme, host and port (https://host:port)", text)
	case strings.ContainsAny(u.Host, "*, "):
		return "", fmt.Errorf("csrf: New: origin %q is a pattern or a list (one origin each, without wildcards)", text)
	}
	return "https://" + strings.ToLower(strings.TrimSuffix(u.Host, ":443")), nil
}

// IsLoopback reports whether [Loopback] created the site.
func (s *Site) IsLoopback() bool { return s.loopback }

// Secure reports whether cookies of the request may be accepted. They may if the request came over
// https or, for [Loopback], stays on this machine.
func (s *Site) Secure(r *http.Request) bool {
	if s.loopback {
		return authn.OnLoopback(r)
	}
	return s.proxies.IsHTTPS(r)
}

// Check rejects unsafe requests that the site's own pages did not send, with 403 and the texts of
// Django. It returns nil for safe requests: GET, HEAD and OPTIONS. A request that switches to
// another protocol counts as unsafe, because another site can open a WebSocket with the user's
// cookies. Handlers of safe methods MUST NOT change anything.
//
// An unsafe request must meet all of these:
//   - The scheme is secure (see [Site.Secure]), and Host is one of the site's hosts.
//   - Origin, if present, is the site's own or a trusted origin. "null" is accepted only with
//     Sec-Fetch-Site "same-origin": a page with the Referrer-Policy "no-referrer" sends it.
//   - Sec-Fetch-Site, if present, is "same-origin" or "none". For a trusted Origin any value is
//     accepted.
//   - If Origin and Sec-Fetch-Site are missing, Referer, if present, has the site's own or a
//     trusted origin. Without these three headers, the request is accepted unless Options.Strict is
//     set; it may need a token (see [NeedsToken]).
//
// The cause of the error, which goes to the log, holds the compared values and names the option to
// set.
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

// checkOrigin does the part of Check after the scheme and the Host.
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

// maxReferer is the maximum length of a Referer in bytes. Browsers send at most 4,096 (Referrer
// Policy, section 8.3), and url.Parse allocates three times the length.
const maxReferer = 4096

var errReferer = errors.New("csrf: Referer is repeated or too long")

const foreign = "the request comes from another origin: if it is yours, add it to csrf.Options.TrustedOrigins"

func safe(r *http.Request) bool { return !authn.MayChange(r) }

// IsHost reports whether a value of Host belongs to the site. The site's hosts are the origin's
// host and Options.Hosts or, for [Loopback], 127.0.0.1, [::1] and localhost.
func (s *Site) IsHost(host string) bool {
	_, ok := s.CanonicalHost(host)
	return ok
}

// CanonicalHost returns a value of Host in lower case and without the default port, and whether it
// belongs to the site (see [Site.IsHost]). Compare this form if a rule depends on the host: clients
// can spell a host in several ways that servers and gateways accept.
func (s *Site) CanonicalHost(host string) (canonical string, ok bool) {
	if s.loopback {
		return strings.TrimSuffix(strings.ToLower(host), ":80"), authn.IsLoopbackHost(host)
	}
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	return host, slices.Contains(s.hosts, host)
}

// own returns the origin of pages that are served under the request's Host.
func (s *Site) own(r *http.Request) string {
	if s.loopback {
		return "http://" + strings.TrimSuffix(strings.ToLower(r.Host), ":80")
	}
	return "https://" + strings.TrimSuffix(strings.ToLower(r.Host), ":443")
}

// allowed reports whether an origin may send requests to the request's Host.
func (s *Site) allowed(origin string, r *http.Request) bool {
	if origin == s.own(r) { // Check has checked the Host
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

// SameOrigin is the check for a scheme that has no [Site]. It is [Site.Check] with any Host and
// without trusted origins: a page may send requests to its own origin. If the request did not come
// over TLS to this server, a proxy may have used https with the client, so pages of both http and
// https are accepted.
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

// IsUnsafe reports whether Check compares origins. It does so if the method is not GET, HEAD or
// OPTIONS, or if the request switches to another protocol.
func IsUnsafe(r *http.Request) bool { return !safe(r) }

// shown returns a text of the request in a form that is safe in a response.
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

// NeedsToken reports whether a request must carry a CSRF token in addition to its cookie. This is
// so for an unsafe request without Origin and Sec-Fetch-Site, if a form of any site could send a
// body of its type. Programs that send JSON or no body need no token.
func NeedsToken(r *http.Request) bool {
	if safe(r) || len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 {
		return false
	}
	return formType(r, r.ContentLength != 0)
}
