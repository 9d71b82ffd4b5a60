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

// TrustedProxies are the proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted. The zero
// value trusts no proxy. Use it for a server that clients reach directly: it ignores these headers.
type TrustedProxies struct {
	nets []netip.Prefix
	unix bool
}

// UnixSocket, as an argument of [NewTrustedProxies], trusts every peer of a Unix domain socket.
// Such a peer has no address, so no network can include it.
//
// Use it if the server listens on a Unix socket that only the proxy can open. Any other program
// that can open the socket can claim any client address. UnixSocket has no effect on network
// connections, whatever http.Request.RemoteAddr contains.
const UnixSocket = "unix"

// NewTrustedProxies returns the proxies with the given addresses: networks in CIDR form
// ("10.0.0.0/8"), single addresses ("127.0.0.1") and [UnixSocket]. It returns an error for anything
// else, and for an IPv4 network in IPv6 form.
//
// A network wider than an IPv4 /8 or an IPv6 /7 is also an error. It would include clients, and
// every client could then claim any address. These are the sizes of the widest private networks.
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
		if p.Bits() < 7 || p.Bits() < 8 && p.Addr().Is4() {
			return TrustedProxies{}, fmt.Errorf("authn: NewTrustedProxies: the network %s is too wide, it includes clients (at most an IPv4 /8 or IPv6 /7)", p)
		}
		t.nets = append(t.nets, p.Masked())
	}
	return t, nil
}

// IsZero reports whether no proxy is trusted.
func (t TrustedProxies) IsZero() bool { return len(t.nets) == 0 && !t.unix }

// TrustsUnixSocket reports whether UnixSocket is among the trusted proxies.
func (t TrustedProxies) TrustsUnixSocket() bool { return t.unix }

// Networks returns a copy of the trusted networks.
func (t TrustedProxies) Networks() []netip.Prefix { return slices.Clone(t.nets) }

// TrustsPeer reports whether the connection itself comes from a trusted proxy. It does not read the
// headers of the request.
func (t TrustedProxies) TrustsPeer(r *http.Request) bool {
	_, ok := t.trustedPeer(r)
	return ok
}

// trustedPeer returns the address of the peer and whether it is trusted. The peer of a Unix socket
// has the invalid Addr.
func (t TrustedProxies) trustedPeer(r *http.Request) (netip.Addr, bool) {
	p := peer(r)
	if p.IsValid() {
		return p, t.trusts(p)
	}
	return p, t.unix && overUnixSocket(r)
}

// overUnixSocket reports whether the server accepted the connection on a Unix socket. It checks the
// listener, because another middleware may have copied RemoteAddr from a header.
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

// maxHops is the largest number of forwarding entries that are read.
const maxHops = 32

// ClientAddr returns the client address. If the request did not come through a trusted proxy, this
// is the address of the connection. Otherwise it is the right-most address in X-Forwarded-For that
// does not belong to a trusted proxy. With [UnixSocket], the entry "unix:", which nginx writes for
// a peer without an address, counts as a trusted proxy.
//
// The zero TrustedProxies returns the address that the request's middleware found with
// Options.Proxies, so you need to configure proxies only there.
//
// The search stops at the first entry that is not an address, and after 32 entries. The result is
// then the last address before that entry. ClientAddr returns the invalid Addr if no address is
// known.
func (t TrustedProxies) ClientAddr(r *http.Request) netip.Addr {
	if t.IsZero() {
		if a, ok := r.Context().Value(clientKey{}).(netip.Addr); ok && a.IsValid() {
			return a
		}
	}
	return t.addr(r)
}

// addr is ClientAddr with these proxies only.
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

// IsHTTPS reports whether the client uses TLS, either to this server or to a trusted proxy. The
// proxy must send exactly one X-Forwarded-Proto header with the value "https" or "wss" (which
// Traefik sends for a WebSocket over TLS). If a trusted proxy sends X-Forwarded-Proto, only this
// header decides, even if the proxy itself connects over TLS.
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

// parseHop parses an address with or without a port, and IPv6 with or without brackets. The result
// has no zone and no IPv4 address in IPv6 form.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	var a netip.Addr
	err := errPort
	if strings.Count(s, ":") != 1 { // otherwise it has a port
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

var errPort = errors.New("address with a port")

// NetworkOf returns the name of the network under which an address is counted: the IPv4 address
// itself, or the IPv6 /64. An IPv4 address in IPv6 form counts as IPv4, and a zone is ignored. It
// returns "unknown" for the invalid Addr.
func NetworkOf(a netip.Addr) string { return network.Source.Name(a) }
