package oauth2

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// MatchRedirect reports whether the client may use a redirect URI. The URI must be equal, byte for
// byte, to a registered one (RFC 9700, section 4.1.3). For a native client's http URI on a loopback
// address (127.0.0.1 or [::1], not localhost) the port may differ (RFC 8252, section 7.3). For a
// client with a client ID metadata document, the port of an http URI on localhost may differ, too;
// for other clients see [MatchLocalhost].
func MatchRedirect(c storage.Client, uri string) bool { return matchRedirect(c, uri, c.FromDocument()) }

// MatchLocalhost is MatchRedirect for servers that accept any port on localhost: for a native client,
// the port of an http URI on localhost may differ, too. Any program on the user's device can listen
// there, so require PKCE and do not remember the user's consent (RFC 8252, section 8.3).
func MatchLocalhost(c storage.Client, uri string) bool { return matchRedirect(c, uri, true) }

func matchRedirect(c storage.Client, uri string, localhost bool) bool {
	if uri == "" || len(uri) > 2048 {
		return false
	}
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	if !c.Native {
		return false
	}
	free, ok := withoutPort(uri, localhost)
	if !ok {
		return false
	}
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		other, ok := withoutPort(registered, localhost)
		return ok && other == free
	})
}

// withoutPort removes the port from an http URI with a loopback address. It does not parse the URI,
// so that everything else is compared byte for byte. localhost allows that name, too.
func withoutPort(uri string, localhost bool) (string, bool) {
	rest, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", false
	}
	for _, host := range []string{"127.0.0.1", "[::1]", "localhost"} {
		after, ok := strings.CutPrefix(rest, host)
		if !ok || host == "localhost" && !localhost {
			continue
		}
		if port, ok := strings.CutPrefix(after, ":"); ok {
			n := 0
			for n < len(port) && '0' <= port[n] && port[n] <= '9' {
				n++
			}
			if n == 0 || n > 5 || port[0] == '0' {
				return "", false
			}
			after = port[n:]
		}
		if after != "" && after[0] != '/' && after[0] != '?' {
			return "", false
		}
		return "http://" + host + after, true
	}
	return "", false
}

// CheckRedirect returns an error unless the URI may be registered for a client. It must be
// absolute, without a fragment, a user, or characters that browsers interpret differently. The
// scheme must be https, or http for a loopback address. Native clients can also use a private
// scheme in reverse domain form (RFC 8252, section 7.1), such as "com.example.app:/callback", or
// with a host, "com.example.app://callback".
func CheckRedirect(uri string, native bool) error {
	bad := func(why string) error { return fmt.Errorf("oauth2: redirect URI %q: %s", uri, why) }
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c > '~' || c == '\\' || c == '"' || c == '<' || c == '>' || c == '*' {
			return bad("contains a character that must be encoded, or a wildcard")
		}
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || !u.IsAbs():
		return bad("not absolute")
	case len(uri) > 2048:
		return bad("longer than 2048 bytes")
	case strings.Contains(uri, "#"):
		return bad("has a fragment")
	case u.User != nil || strings.Contains(u.Host, "@"):
		return bad("has a user")
	case strings.ContainsFunc(u.Host, func(c rune) bool { return !isHost(c) }): // the host goes into the Content-Security-Policy of the consent page
		return bad("host is not a name or an address")
	case strings.Contains(u.Path, "/../") || strings.HasSuffix(u.Path, "/..") || strings.Contains(u.Path, "/./"):
		return bad("path has . or .. segments")
	}
	switch {
	case u.Scheme == "https" && u.Hostname() != "":
	case u.Scheme == "http" && syntax.IsLoopback(u.Hostname()):
	case u.Scheme == "http" || u.Scheme == "https":
		return bad("http is allowed only for loopback addresses")
	case !native || !strings.Contains(u.Scheme, ".") || !strings.HasPrefix(uri[len(u.Scheme):], ":/"):
		return bad("unknown scheme (https, or for a native client a private scheme such as com.example.app:/callback)")
	}
	return nil
}

// isHost reports whether c can be part of a host name or an address with its port.
func isHost(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._:[]", c)
}
