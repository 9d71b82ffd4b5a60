package authn

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// TLSOptions change what RequireTLS believes. nil is the strictest: TLS to this
// very server.
type TLSOptions struct {
	// Proxies are believed when they say that the client speaks https.
	Proxies TrustedProxies
	// AllowLoopback lets plain http pass for work on one machine: the server's own
	// address and the Host are loopback, and no forwarding header is there, since
	// one would mean a proxy in front.
	AllowLoopback bool
	// Headers are further headers that carry credentials, such as "X-Api-Key". Name each one that
	// a scheme of yours reads.
	Headers []string
	// MaxAge of Strict-Transport-Security; 0 is one year, below 0 sends none.
	MaxAge time.Duration
}

// RequireTLS returns middleware that refuses credentials over plain http with
// 403: a request with Authorization or Cookie, one whose method may carry a
// body (a login form), one for a WebSocket (see [MayChange]), or one with one of TLSOptions.Headers. Others pass, such as the GET of a health check. Answers
// over https carry Strict-Transport-Security (RFC 6797). It belongs outside
// everything else.
//
// A refused credential has travelled in the clear all the same: the client must
// replace it.
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
	return MayChange(r) // a body, or what is written over a WebSocket
}

// OnLoopback reports whether r stays on this machine: the server listens on a
// loopback address, the Host is 127.0.0.1, [::1] or localhost, and there is no
// Forwarded or X-Forwarded-* header. It is false on a Unix socket, because a proxy
// in front of one sends "localhost" unless it is told otherwise.
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

// IsLoopbackHost reports whether host, a value of the Host header with or without a
// port, is 127.0.0.1, [::1] or localhost.
func IsLoopbackHost(host string) bool {
	if rest, ok := strings.CutPrefix(host, "127.0.0.1"); ok && (rest == "" || rest[0] == ':' && !strings.ContainsAny(rest[1:], ":[]")) {
		return true // at a glance
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

// addrOf is the address of one end of a connection, as parseHop reads it.
func addrOf(a net.Addr) (netip.Addr, bool) {
	if t, ok := a.(*net.TCPAddr); ok && t != nil { // without its text
		ip, ok := netip.AddrFromSlice(t.IP)
		return ip.Unmap(), ok
	}
	return parseHop(a.String())
}
