package syntax

import (
	"net/url"
	"strings"
)

// Origin returns the scheme and host of a configured URL, or "" if it is not a URL.
func Origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// NormalURI returns a URL after normalizing scheme, host, default port, empty path and
// percent-encodings (RFC 3986, sections 6.2.2 and 6.2.3). It returns false for a text that is not a
// URL with a host, or that has a user, a query or a fragment.
func NormalURI(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(text, "?#") {
		return "", false
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return u.Scheme + "://" + host + escapes(path), true
}

// escapes writes percent-encodings in upper case, and decodes unreserved characters.
func escapes(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) {
			b.WriteByte(path[i])
			continue
		}
		code := strings.ToUpper(path[i : i+3])
		if c, err := url.PathUnescape(code); err == nil && unreserved(c[0]) {
			code = c
		}
		b.WriteString(code)
		i += 2
	}
	return b.String()
}

// LeadsToDevice reports whether a redirect URI leads to a program on the user's device, by a
// loopback address or a private scheme. Any program there can receive what is sent.
func LeadsToDevice(uri string) bool {
	u, err := url.Parse(uri)
	return err != nil || u.Scheme != "https" || IsLoopback(u.Hostname())
}
