package proxy

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
)

// names returns the names in canonical form: user, scheme, client, scopes, issuer.
func (n HeaderNames) names() (out [5]string, err error) {
	for i, name := range [...]string{n.User, n.Scheme, n.Client, n.Scopes, n.Issuer} {
		if name == "" {
			name = [...]string{"X-Auth-User", "X-Auth-Scheme", "X-Auth-Client", "X-Auth-Scopes", "X-Auth-Issuer"}[i]
		}
		if !identityName(name) || slices.ContainsFunc(out[:i], func(other string) bool { return strings.EqualFold(other, name) }) {
			return out, fmt.Errorf("proxy: NewForwardAuth: header name %q (accepted: letters, digits and hyphens, each name once, such as X-Auth-User)", name)
		}
		out[i] = textproto.CanonicalMIMEHeaderKey(name)
	}
	return out, nil
}

// identityName keeps the identity out of headers that mean something else.
func identityName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	upper := strings.ToUpper(name)
	for _, prefix := range []string{"X-FORWARDED-", "X-ORIGINAL-", "X-REWRITE-", "SEC-", "CONTENT-", "ACCEPT", "IF-", "ACCESS-CONTROL-", "PROXY-", "SET-COOKIE"} {
		if strings.HasPrefix(upper, prefix) && upper != "X-FORWARDED-USER" {
			return false
		}
	}
	return name != "" && !slices.Contains([]string{
		"AUTHORIZATION", "COOKIE", "HOST", "CONNECTION", "FORWARDED", "ORIGIN", "REFERER", "USER-AGENT", "VIA", "DATE", "UPGRADE", "LOCATION", "VARY",
		"CACHE-CONTROL", "WWW-AUTHENTICATE", "RETRY-AFTER", "TRANSFER-ENCODING", "TE", "TRAILER", "X-REAL-IP", "X-REQUESTED-WITH", "STRICT-TRANSPORT-SECURITY",
	}, upper)
}

// identityHeader returns the name of a header that a server behind the gateway could
// take for an identity header, or "". CGI and its descendants map what is no letter or
// digit to "_".
func (h *forwardAuth) identityHeader(headers http.Header) string {
	for name := range headers {
		for _, own := range h.names {
			if alike(name, own) {
				return own
			}
		}
	}
	return ""
}

// alike compares names without regard to case and to what separates words.
func alike(name, own string) bool {
	if len(name) != len(own) {
		return false
	}
	for i := range len(own) {
		a, b := name[i], own[i]
		if 'A' <= a && a <= 'Z' {
			a += 'a' - 'A'
		}
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		letter := 'a' <= a && a <= 'z' || '0' <= a && a <= '9'
		if a != b && (letter || b != '-') {
			return false
		}
	}
	return true
}

// encode percent-encodes what is not visible ASCII, and the percent sign itself, so that
// two identities never look alike.
func encode(s string) string {
	const hex = "0123456789ABCDEF"
	i := 0
	for i < len(s) && s[i] > ' ' && s[i] <= '~' && s[i] != '%' {
		i++
	}
	if i == len(s) {
		return s
	}
	b := []byte(s[:i])
	for ; i < len(s); i++ {
		if c := s[i]; c > ' ' && c <= '~' && c != '%' {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// wantsLogin reports whether the request is that of a person who opens a page other than
// the login page itself.
func (h *forwardAuth) wantsLogin(r *http.Request) bool {
	if h.login == "" || r.URL.Path == h.login || csrf.IsUnsafe(r) || r.Method == http.MethodOptions {
		return false
	}
	if len(r.Header["Authorization"]) > 0 || len(r.Header["X-Requested-With"]) > 0 {
		return false
	}
	if mode := r.Header["Sec-Fetch-Mode"]; len(mode) > 0 && (len(mode) > 1 || mode[0] != "navigate") {
		return false
	}
	for _, line := range r.Header["Accept"] {
		for kind := range strings.SplitSeq(line, ",") {
			kind, _, _ = strings.Cut(kind, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/html") {
				return true
			}
		}
	}
	return false
}

// maxNext is the longest "next" of the login page, in bytes.
const maxNext = 2048

// sendToLogin answers an anonymous visitor. The URI is a clean path of this origin: see
// parseURI.
func (h *forwardAuth) sendToLogin(w http.ResponseWriter, r *http.Request) {
	to := h.opts.Login
	if next := url.QueryEscape(r.RequestURI); len(next) <= maxNext {
		if strings.Contains(to, "?") {
			to += "&next=" + next
		} else {
			to += "?next=" + next
		}
	}
	w.Header().Set("Location", to)
	if h.dialect == Nginx {
		if plain, ok := r.Context().Value(plainKey{}).(*http.Request); ok { // nginx shows nobody a page
			r = plain
		}
		h.auth.Respond(w, r, authn.NotAuthenticated())
		return
	}
	w.WriteHeader(http.StatusSeeOther)
}

// loginPath returns the path of the login page; "" for "".
func loginPath(text string, site *csrf.Site) (path string, ok bool) {
	if rest, absolute := strings.CutPrefix(text, "https://"); absolute {
		slash := strings.IndexByte(rest, '/')
		if slash < 0 || site.IsLoopback() || !site.IsHost(rest[:slash]) {
			return "", false
		}
		text = rest[slash:]
	}
	path, _, _ = strings.Cut(text, "?")
	return path, text == "" || localPath(text)
}

// localPath reports whether text is a path of this origin, perhaps with a query.
func localPath(text string) bool {
	path, query, _ := strings.Cut(text, "?")
	_, err := parseURI(path, true)
	return err == nil && !strings.ContainsFunc(query, func(c rune) bool { return c <= ' ' || c > '~' || c == '#' })
}
