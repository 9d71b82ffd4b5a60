package csrf

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/vestibule-auth/vestibule/internal/params"
)

// IsForeignForm reports whether a page of another site made a browser send r without a preflight
// request: a form, or a script's POST that looks like one. The page cannot read the answer, but
// passwords in it would be guesses from the visitor's own address, and use up the visitor's limits.
//
// Use it for endpoints that read no cookie, where [Site.Check] is not called, before anything is
// counted. answer are the headers of the answer: an origin that a CORS handler in front has allowed
// (Access-Control-Allow-Origin) is not foreign.
//
// A request with DPoP or Authorization, or with a body that is neither a form nor plain text,
// needs a preflight request (Fetch standard, section 4.8), so CORS rules decide about it. This does
// not hold for Basic, Digest, Negotiate and NTLM, which browsers send by themselves. Another
// site is what Sec-Fetch-Site says. Without it, as over plain http, Origin is compared with Host;
// hosts with the same last two labels are taken for one site. Clients that are not browsers send
// neither header.
func IsForeignForm(answer http.Header, r *http.Request) bool {
	if r.Method != http.MethodPost || setsHeaders(r.Header) || !formType(r, true) || !fromAnotherSite(r) {
		return false
	}
	allowed := answer.Get("Access-Control-Allow-Origin")
	return allowed == "" || allowed != "*" && allowed != r.Header.Get("Origin")
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

// formType reports a body of a kind that any site's form, or script without a preflight request,
// can send. none is the answer for a body without a type.
func formType(r *http.Request, none bool) bool {
	kinds := r.Header["Content-Type"]
	switch len(kinds) {
	case 0:
		return none
	case 1:
		kind, _, err := params.MediaType(kinds[0])
		return err != nil || kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data" || kind == "text/plain"
	}
	return true // no telling which of several counts
}
