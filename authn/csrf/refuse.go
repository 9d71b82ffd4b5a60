package csrf

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// refuse returns the 403 for a request. reason is for the client. why goes to the log together with
// the compared values; it holds no cookie and no path.
func (s *Site) refuse(r *http.Request, reason, why string) error {
	expected := strings.Join(s.origins, ", ")
	if expected == "" {
		expected = s.own(r)
		why += "; to name the origin, use csrf.New"
	}
	scheme := "http"
	if s.proxies.IsHTTPS(r) {
		scheme = "https"
	}
	return refused(reason, fmt.Sprintf("%s (origin %s, Sec-Fetch-Site %s, expected %s; host %s; scheme %s)",
		why, header(r, "Origin"), header(r, "Sec-Fetch-Site"), expected, logged(r.Host), scheme))
}

func refused(reason, why string) error {
	return authn.PermissionDenied("CSRF Failed: " + reason).WithCause(errors.New("cross-origin check: " + why))
}

// Insecure explains, for the log, why [Site.Secure] returned false and which option to set.
func (s *Site) Insecure(r *http.Request) string {
	if s.loopback {
		return "not on loopback: csrf.Loopback requires a listener on a loopback address, a loopback Host and no forwarding header; elsewhere use csrf.New"
	}
	proto := header(r, "X-Forwarded-Proto")
	peer := r.WithContext(context.Background()) // ignore the address that the middleware stored
	switch addr := (authn.TrustedProxies{}).ClientAddr(peer); {
	case s.proxies.TrustsPeer(r):
		return "sent over plain http: the proxy must send exactly one X-Forwarded-Proto: https (got " + proto + ")"
	case addr.IsValid():
		return "sent over plain http: if the peer " + addr.String() + " is your proxy, add it to csrf.Options.Proxies (X-Forwarded-Proto " + proto + ")"
	}
	return "sent over plain http: the peer has no address; if the server listens on a Unix socket behind your proxy, add authn.UnixSocket to csrf.Options.Proxies (X-Forwarded-Proto " + proto + ")"
}

// header returns the value of a header for the log.
func header(r *http.Request, name string) string {
	switch lines := r.Header[name]; len(lines) {
	case 0:
		return "absent"
	case 1:
		return logged(lines[0])
	default:
		return strconv.Itoa(len(lines)) + " times"
	}
}

// maxLogged is the maximum length in bytes of a request's value in a line of the log.
const maxLogged = 100

func logged(text string) string {
	if len(text) > maxLogged {
		return strconv.Quote(text[:maxLogged]) + "…"
	}
	return strconv.Quote(text)
}

// Proxies returns Options.Proxies.
func (s *Site) Proxies() authn.TrustedProxies { return s.proxies }
