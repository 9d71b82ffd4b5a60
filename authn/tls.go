package authn

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// TLSOptions configure [RequireTLS]. nil is the strictest setting: only TLS connections to this
// server itself count.
type TLSOptions struct {
	// Proxies are trusted to report that the client uses HTTPS.
	Proxies TrustedProxies
	// AllowLoopback allows plain HTTP on one machine, for development. The server's own address and
	// the Host must be loopback, and the request must not have a forwarding header of a proxy.
	AllowLoopback bool
	// Headers are further headers that contain credentials, such as "X-Api-Key". List each header
	// that your own schemes read.
	Headers []string
	// MaxAge is the max-age of Strict-Transport-Security. 0 means one year. A negative value means
	// that the header is not sent.
	MaxAge time.Duration
}

// RequireTLS returns middleware that rejects credentials over plain HTTP with 403. Make it the
// outermost middleware. It rejects requests over plain HTTP that:
//   - have an Authorization or Cookie header, or one of TLSOptions.Headers
//   - have a method that can have a body, such as a login form
//   - open a WebSocket (see [MayChange])
//
// Other requests pass, such as the GET of a health check. Responses over HTTPS get
// Strict-Transport-Security (RFC 6797).
//
// Rejected credentials were already sent in the clear, so the client must replace them.
func RequireTLS(opts *TLSOptions) func(http.Handler) http.Handler {
	var o TLSOptions
	if opts != nil {
		o = *opts
	}
	if o.MaxAge == 0 {
		o.MaxAge = 365 * 24 * time.Hour
	}
	secret := []string{"Authorization", "Cookie"}
	for _, name := range o.Headers {
		secret = append(secret, http.CanonicalHeaderKey(name))
	}
	hsts := ""
	if o.MaxAge > 0 {
		hsts = "max-age=" + itoa(seconds(o.MaxAge))
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case o.Proxies.IsHTTPS(r):
				if hsts != "" {
					w.Header().Set("Strict-Transport-Security", hsts)
				}
			case !mayCarrySecret(r, secret):
			case o.AllowLoopback && OnLoopback(r):
			default:
				Respond(w, r, errInsecureTransport)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

var errInsecureTransport = &Error{Status: http.StatusForbidden, Code: "insecure_transport", Detail: "Credentials are accepted over https only."}

func mayCarrySecret(r *http.Request, secret []string) bool {
	for _, name := range secret {
		if len(r.Header[name]) > 0 {
			return true
		}
	}
	return MayChange(r) // in a body or a WebSocket message
}

// OnLoopback reports whether r stays on this machine. For this, the server must listen on a
// loopback address, the Host must be 127.0.0.1, [::1] or localhost, and there must be no Forwarded
// or X-Forwarded-* header. It returns false on a Unix socket, because a proxy in front of such a
// socket sends "localhost" by default.
func OnLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	a, ok := addrOf(local)
	if !ok || !a.IsLoopback() {
		return false
	}
	for name := range r.Header {
		if name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-") {
			return false
		}
	}
	return IsLoopbackHost(r.Host)
}

// IsLoopbackHost reports whether host is 127.0.0.1, [::1] or localhost. host is a value of the Host
// header, with or without a port.
func IsLoopbackHost(host string) bool {
	if rest, ok := strings.CutPrefix(host, "127.0.0.1"); ok && (rest == "" || rest[0] == ':' && !strings.ContainsAny(rest[1:], ":[]")) {
		return true // fast path
	}
	if strings.Contains(host, ":") {
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	h, err := netip.ParseAddr(host)
	return err == nil && (h == netip.IPv6Loopback() || h == netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}

// addrOf returns the address of one end of a connection in the form of parseHop.
func addrOf(a net.Addr) (netip.Addr, bool) {
	if t, ok := a.(*net.TCPAddr); ok && t != nil { // avoids formatting and parsing
		ip, ok := netip.AddrFromSlice(t.IP)
		return ip.Unmap(), ok
	}
	return parseHop(a.String())
}
