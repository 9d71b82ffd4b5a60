package authn

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/internal/network"
)

// TrustedProxies names the proxies whose X-Forwarded-For and X-Forwarded-Proto
// are believed. The zero value trusts none, which is right for a server that
// clients reach directly: it ignores those headers.
type TrustedProxies struct {
	nets []netip.Prefix
	unix bool
}

// UnixSocket, as an argument of NewTrustedProxies, trusts every peer of a Unix
// domain socket. Such a peer has no address, so no network can name it.
//
// Use it if the server listens on a Unix socket that only the proxy can open:
// anyone else who can open it can state any client address. It has no effect on
// connections over a network, whatever http.Request.RemoteAddr holds.
const UnixSocket = "unix"

// NewTrustedProxies accepts networks in CIDR form ("10.0.0.0/8"), single
// addresses ("127.0.0.1") and UnixSocket. It returns an error for anything else,
// and for an IPv4 network in IPv6 form.
func NewTrustedProxies(networks ...string) (TrustedProxies, error) {
	var t TrustedProxies
	for _, s := range networks {
		if s == UnixSocket {
			t.unix = true
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return TrustedProxies{}, fmt.Errorf("authn: NewTrustedProxies: %q is not a proxy (accepted: a network, an address, %q)", s, UnixSocket)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return TrustedProxies{}, fmt.Errorf("authn: NewTrustedProxies: %q is an IPv4 network in IPv6 form (write the IPv4 form)", s)
		}
		t.nets = append(t.nets, p.Masked())
	}
	return t, nil
}

// IsZero reports whether no proxy is trusted.
func (t TrustedProxies) IsZero() bool { return len(t.nets) == 0 && !t.unix }

// TrustsUnixSocket reports whether UnixSocket is among the trusted proxies.
func (t TrustedProxies) TrustsUnixSocket() bool { return t.unix }

// Networks returns the named networks.
func (t TrustedProxies) Networks() []netip.Prefix { return slices.Clone(t.nets) }

// TrustsPeer reports whether the connection itself comes from a trusted proxy. It
// does not read the request's headers.
func (t TrustedProxies) TrustsPeer(r *http.Request) bool {
	_, ok := t.trustedPeer(r)
	return ok
}

// trustedPeer returns the peer's address and whether the peer is trusted. The
// address of a Unix socket's peer is the invalid Addr.
func (t TrustedProxies) trustedPeer(r *http.Request) (netip.Addr, bool) {
	p := peer(r)
	if p.IsValid() {
		return p, t.trusts(p)
	}
	return p, t.unix && overUnixSocket(r)
}

// overUnixSocket reports whether the server accepted the connection on a Unix
// socket. It asks the listener: RemoteAddr may hold what some middleware copied
// from a header.
func overUnixSocket(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local != nil && local.Network() == "unix"
}

func (t TrustedProxies) trusts(a netip.Addr) bool {
	for _, p := range t.nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// maxHops bounds how much of a forwarding header is looked at.
const maxHops = 32

// ClientAddr returns the address of the client. Without a trusted proxy in between
// it is the connection's; the zero TrustedProxies returns the one that the middleware of the request
// found by Options.Proxies, so that a proxy need be named only there. Behind one it is the right-most address of
// X-Forwarded-For that is not a trusted proxy's. With UnixSocket the entry "unix:",
// which nginx writes for a peer without an address, counts as a trusted proxy.
//
// The search stops at the first entry that is no address, and at the 32nd; the
// result is then the address before it. ClientAddr returns the invalid Addr if
// no address is known.
func (t TrustedProxies) ClientAddr(r *http.Request) netip.Addr {
	if t.IsZero() {
		if a, ok := r.Context().Value(clientKey{}).(netip.Addr); ok && a.IsValid() {
			return a
		}
	}
	return t.addr(r)
}

// addr is ClientAddr by these proxies alone.
func (t TrustedProxies) addr(r *http.Request) netip.Addr {
	if t.IsZero() {
		return peer(r)
	}
	client, trusted := t.trustedPeer(r)
	if !trusted {
		return client
	}
	lines := r.Header["X-Forwarded-For"]
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for more := true; more; hops++ {
			if hops == maxHops {
				return client
			}
			var hop string
			if cut := strings.LastIndexByte(rest, ','); cut >= 0 {
				rest, hop = rest[:cut], rest[cut+1:]
			} else {
				hop, more = rest, false
			}
			if t.unix && strings.Trim(hop, " \t") == "unix:" {
				continue
			}
			a, ok := parseHop(hop)
			if !ok {
				return client
			}
			client = a
			if !t.trusts(a) {
				return client
			}
		}
	}
	return client
}

// IsHTTPS reports whether the client uses TLS: to this server, or to a trusted
// proxy that sends exactly one X-Forwarded-Proto, "https" or "wss" (Traefik's word
// for a WebSocket over TLS). A trusted proxy's X-Forwarded-Proto decides even if the
// proxy itself connects over TLS.
func (t TrustedProxies) IsHTTPS(r *http.Request) bool {
	if t.IsZero() {
		return r.TLS != nil
	}
	v := r.Header["X-Forwarded-Proto"]
	if len(v) == 0 || !t.TrustsPeer(r) {
		return r.TLS != nil
	}
	if len(v) != 1 {
		return false
	}
	scheme := strings.TrimSpace(v[0])
	return strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "wss")
}

func peer(r *http.Request) netip.Addr {
	a, _ := parseHop(r.RemoteAddr)
	return a
}

// parseHop reads an address with or without a port, an IPv6 one with or without
// brackets, and brings it to one form: no zone, no IPv4 inside IPv6.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	var a netip.Addr
	err := errPort
	if strings.Count(s, ":") != 1 { // else it is no address by itself
		a, err = netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	}
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return network.Plain(a), true
}

var errPort = errors.New("with a port")

// NetworkOf names where an address belongs for counting: the IPv4 address itself,
// or the IPv6 /64. An IPv4 address that is mapped into IPv6 is an IPv4 address, and a zone does
// not count. It returns "unknown" for the invalid Addr.
func NetworkOf(a netip.Addr) string { return network.Source.Name(a) }
