package authn

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// TrustedProxies names the networks whose X-Forwarded-For and
// X-Forwarded-Proto are believed. The zero value trusts nobody, which is right
// for a server that clients reach directly: then those headers are ignored.
type TrustedProxies struct{ nets []netip.Prefix }

// NewTrustedProxies takes networks in CIDR form ("10.0.0.0/8") or single
// addresses ("127.0.0.1").
func NewTrustedProxies(networks ...string) (TrustedProxies, error) {
	var t TrustedProxies
	for _, s := range networks {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return TrustedProxies{}, fmt.Errorf("authn: trusted proxy %q: neither a network nor an address", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return TrustedProxies{}, fmt.Errorf("authn: trusted proxy %q: write the IPv4 form", s)
		}
		t.nets = append(t.nets, p.Masked())
	}
	return t, nil
}

// Networks returns the named networks.
func (t TrustedProxies) Networks() []netip.Prefix { return slices.Clone(t.nets) }

// TrustsPeer reports whether the connection itself comes from a named proxy, whatever
// the request says.
func (t TrustedProxies) TrustsPeer(r *http.Request) bool {
	p := peer(r)
	return p.IsValid() && t.trusts(p)
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

// ClientAddr returns the address a request comes from: that of the connection,
// or, where the connection comes from a named proxy, the right-most address of
// X-Forwarded-For that is not a named proxy. A hop that is no address ends the
// search at the last one that was. It returns the invalid Addr where
// r.RemoteAddr holds none.
func (t TrustedProxies) ClientAddr(r *http.Request) netip.Addr {
	client := peer(r)
	if len(t.nets) == 0 || !client.IsValid() || !t.trusts(client) {
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

// IsHTTPS reports whether the client speaks TLS: to this server, or to a named
// proxy that says so in X-Forwarded-Proto.
func (t TrustedProxies) IsHTTPS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if len(t.nets) == 0 {
		return false
	}
	if !t.TrustsPeer(r) {
		return false
	}
	v := r.Header["X-Forwarded-Proto"]
	return len(v) == 1 && strings.EqualFold(strings.TrimSpace(v[0]), "https")
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
	return a.Unmap().WithZone(""), true
}

var errPort = errors.New("with a port")

// SourceOf names where an address belongs for counting: the IPv4 address itself,
// or the IPv6 /64 (RULES L1). It returns "unknown" for the invalid Addr.
func SourceOf(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "unknown"
	case a.Is4():
		return a.String()
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return "unknown"
	}
	return p.String()
}
