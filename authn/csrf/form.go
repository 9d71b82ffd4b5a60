package csrf

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/vestibule-auth/vestibule/internal/params"
)

// IsForeignForm reports whether a page of another site made a browser send r without a preflight
// request: by a form, or by a script's POST that looks like one. Use it for login endpoints that
// read no cookie and therefore do not call [Site.Check]. The page cannot read the response, but its
// passwords would count as attempts from the visitor's address and use up the visitor's limits.
// Call it before an attempt is counted.
//
// answer are the headers of the response. An origin that a CORS handler has allowed
// (Access-Control-Allow-Origin) is not foreign.
//
// These requests are not foreign forms, because browsers send a preflight request first (Fetch
// standard, section 4.8) and CORS rules decide: requests with DPoP, with Authorization, or with a
// body that is neither a form nor plain text. Authorization with Basic, Digest, Negotiate or NTLM
// does not count, because browsers send these automatically.
//
// Sec-Fetch-Site tells whether the page is of another site. If it is missing, as over plain http,
// Origin is compared with Host, and hosts with the same last two labels count as one site. Clients
// that are not browsers send neither header.
func IsForeignForm(answer http.Header, r *http.Request) bool {
	if r.Method != http.MethodPost || setsHeaders(r.Header) || !formType(r, true) || !fromAnotherSite(r) {
		return false
	}
	allowed := answer.Get("Access-Control-Allow-Origin")
	return allowed == "" || allowed != "*" && allowed != r.Header.Get("Origin")
}

// setsHeaders reports whether the request has headers that a page can set only after a preflight
// request.
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

// fromAnotherSite reports whether the browser's headers show another site.
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

// maxOrigin is the maximum length of an origin in bytes. A host has at most 253.
const maxOrigin = 512

// siteOf returns the largest part of a host that can belong to one owner: its last two labels. An
// IP address is a site of its own.
func siteOf(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	last := strings.LastIndexByte(host, '.')
	if last < 0 || strings.Trim(host[last+1:], "0123456789") == "" {
		return host
	}
	return host[strings.LastIndexByte(host[:last], '.')+1:]
}

// formType reports whether the body has a type that a form of any site, or a script without a
// preflight request, can send. It returns none for a body without a type.
func formType(r *http.Request, none bool) bool {
	kinds := r.Header["Content-Type"]
	switch len(kinds) {
	case 0:
		return none
	case 1:
		kind, _, err := params.MediaType(kinds[0])
		return err != nil || kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data" || kind == "text/plain"
	}
	return true // it is unknown which of several counts
}
