package authn

import (
	"net/http"
	"net/url"
	"strings"
)

// FromAnotherSite reports whether a page of another site made a browser send r without a preflight
// request, so that the page can make any visitor send as many of them as it likes. Count such
// requests apart, or the page uses up the limits of its visitors. Requests with DPoP, or with an
// Authorization other than Basic, Digest, Negotiate and NTLM, which browsers send by themselves, need
// a preflight request (Fetch standard, section 4.8).
//
// Another site is what Sec-Fetch-Site says. Without it, as over plain http, Origin is compared with
// Host; hosts with the same last two labels are taken for one site. Clients that are not browsers
// send neither header, but can: limits of such requests must be no wider than the others.
func FromAnotherSite(r *http.Request) bool {
	return !setsHeaders(r.Header) && fromAnotherSite(r)
}

// setsHeaders reports a request with headers that a page can set only after a preflight request.
func setsHeaders(h http.Header) bool {
	if len(h["Dpop"]) > 0 {
		return true
	}
	for _, v := range h["Authorization"] {
		keyword, _, _ := strings.Cut(strings.TrimLeft(v, " \t"), " ")
		switch strings.ToLower(keyword) {
		case "basic", "digest", "negotiate", "ntlm":
			return false
		}
	}
	return len(h["Authorization"]) > 0
}

// fromAnotherSite reports whether the browser says so.
func fromAnotherSite(r *http.Request) bool {
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return site[0] == "cross-site" || len(site) > 1
	}
	origin := r.Header["Origin"]
	if len(origin) == 0 {
		return false
	}
	if len(origin) > 1 || len(origin[0]) > maxOrigin {
		return true
	}
	u, err := url.Parse(origin[0])
	if err != nil || u.Hostname() == "" { // also "null", which a sandboxed frame sends
		return true
	}
	own := (&url.URL{Host: r.Host}).Hostname()
	return siteOf(u.Hostname()) != siteOf(own)
}

// maxOrigin is how long an origin may be, in bytes: a host has at most 253.
const maxOrigin = 512

// siteOf is the end of a host that one owner has, at most: its last two labels. An IP address is
// a site of its own.
func siteOf(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	last := strings.LastIndexByte(host, '.')
	if last < 0 || strings.Trim(host[last+1:], "0123456789") == "" {
		return host
	}
	return host[strings.LastIndexByte(host[:last], '.')+1:]
}
