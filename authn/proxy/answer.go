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

// names returns the header names in canonical form: user, scheme, client, scopes, issuer.
func (n HeaderNames) names() (out [5]string, err error) {
	for i, name := range [...]string{n.User, n.Scheme, n.Client, n.Scopes, n.Issuer} {
		if name == "" {
			name = [...]string{"X-Auth-User", "X-Auth-Scheme", "X-Auth-Client", "X-Auth-Scopes", "X-Auth-Issuer"}[i]
		}
		if !identityName(name) || slices.ContainsFunc(out[:i], func(other string) bool { return strings.EqualFold(other, name) }) {
			return out, fmt.Errorf("proxy: NewForwardAuth: header name %q is invalid, reserved or a duplicate (letters, digits and hyphens, such as X-Auth-User)", name)
		}
		out[i] = textproto.CanonicalMIMEHeaderKey(name)
	}
	return out, nil
}

// identityName reports whether name can carry an identity: it is valid, and has no other meaning.
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

// identityHeader returns the identity header that a header of the request could be mistaken for by
// a server behind the gateway, or "". CGI and similar interfaces map characters that are not
// letters or digits to "_".
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

// alike compares names without regard to case and to the characters between words.
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

// encode percent-encodes everything except visible ASCII, and the percent sign itself, so that
// different values stay different.
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

// wantsLogin reports whether a person opens a page in a browser, other than the login page.
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

// maxNext is the maximum length of the parameter "next" in bytes.
const maxNext = 2048

// sendToLogin redirects an anonymous visitor to the login page. r.RequestURI is a clean path of
// this origin, which parseURI checked.
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
		if plain, ok := r.Context().Value(plainKey{}).(*http.Request); ok { // nginx shows no page to the client
			r = plain
		}
		h.auth.Respond(w, r, authn.NotAuthenticated())
		return
	}
	w.WriteHeader(http.StatusSeeOther)
}

// loginPath returns the path of the login page, or "" if text is "".
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

// localPath reports whether text is a path of this origin, with or without a query.
func localPath(text string) bool {
	path, query, _ := strings.Cut(text, "?")
	_, err := parseURI(path, true)
	return err == nil && !strings.ContainsFunc(query, func(c rune) bool { return c <= ' ' || c > '~' || c == '#' })
}
