package authn

import (
	"net/http"
	"net/url"
	"strings"
)

// FromAnotherSite reports whether a page of another site made a browser send r without a preflight
// request. Such a page can make any visitor send any number of requests. Use it to count these
// requests separately, so that the page cannot use up the rate limits of its visitors.
//
// It returns false for requests that need a preflight request (Fetch standard, section 4.8):
// requests with a DPoP header or an Authorization header. Basic, Digest, Negotiate and NTLM are
// exceptions, because browsers send these automatically.
//
// The function reads Sec-Fetch-Site. If that is absent, as with plain HTTP, it compares Origin with
// Host: hosts with the same last two labels count as one site. Clients that are not browsers
// usually send neither header, but can send both. Therefore the limit for requests from another
// site MUST NOT be higher than the limit for all other requests.
func FromAnotherSite(r *http.Request) bool {
	return !setsHeaders(r.Header) && fromAnotherSite(r)
}

// setsHeaders reports whether r has headers that a page can set only after a preflight request.
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

// fromAnotherSite reports whether the headers of the browser name another site.
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

// maxOrigin is the largest accepted Origin in bytes. A host has at most 253.
const maxOrigin = 512

// siteOf returns the last two labels of a host. Hosts of one site never differ in them. An IP
// address is a site of its own.
func siteOf(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	last := strings.LastIndexByte(host, '.')
	if last < 0 || strings.Trim(host[last+1:], "0123456789") == "" {
		return host
	}
	return host[strings.LastIndexByte(host[:last], '.')+1:]
}
