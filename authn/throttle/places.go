package throttle

import (
	"net/netip"

	"github.com/vestibule-auth/vestibule/internal/network"
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
const unknown = network.Unknown

func placesOf(a netip.Addr) places {
	p := places{source: network.Source.Name(a), block: network.Block.Name(a), net: network.Net.Name(a), vast: network.Vast.Name(a)}
	p.wide = p.block
	if network.Plain(a).Is4() {
		p.wide = p.source
	}
	return p
}
