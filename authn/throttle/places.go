package throttle

import (
	"net/netip"

	"github.com/vestibule-auth/vestibule/authn"
)

// places are the networks that an address belongs to, from narrow to wide.
type places struct {
	source string // IPv4 address, IPv6 /64: what a login makes known, and the narrowest count
	wide   string // IPv4 address, IPv6 /56: what a stranger's tries at one account count for
	block  string // IPv4 /28, IPv6 /56
	net    string // IPv4 /24, IPv6 /48
	vast   string // IPv4 /16, IPv6 /32: what one provider, or one large customer of it, has
}

// unknown is the place of requests without an address.
const unknown = "unknown"

func placesOf(a netip.Addr) places {
	if !a.IsValid() {
		return places{unknown, unknown, unknown, unknown, unknown}
	}
	a = a.Unmap().WithZone("")
	p := places{source: authn.NetworkOf(a)}
	if a.Is4() {
		p.wide, p.block, p.net, p.vast = p.source, prefix(a, 28), prefix(a, 24), prefix(a, 16)
	} else {
		p.block, p.net, p.vast = prefix(a, 56), prefix(a, 48), prefix(a, 32)
		p.wide = p.block
	}
	return p
}

func prefix(a netip.Addr, bits int) string {
	p, err := a.Prefix(bits)
	if err != nil {
		return unknown
	}
	return p.String()
}
