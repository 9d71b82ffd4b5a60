package throttle

import (
	"errors"
	"net/http"
	"net/netip"

	"github.com/vestibule-auth/vestibule/authn"
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

// around returns the networks around the address, from narrow to wide: none if it is not known.
// Limits of requests and of refused credentials count in each of them.
func (p places) around() []string {
	if p.source == unknown {
		return nil
	}
	return []string{p.block, p.net, p.vast}
}

// asCausedBy returns p or, for a request that a page of another site makes a browser send, places of
// their own, so that its counts do not mix with those of the others.
func (p places) asCausedBy(r *http.Request) places {
	if p.source == unknown || !authn.FromAnotherSite(r) {
		return p
	}
	const mark = "another site "
	return places{mark + p.source, mark + p.wide, mark + p.block, mark + p.net, mark + p.vast}
}

// multiples returns how many times the rate of an address the networks around it have: what was
// given, or the usual number where that is 0.
func multiples(given, usual [3]int) ([3]int, error) {
	for i, n := range given {
		switch {
		case n < 0 || n > MaxLimit:
			return usual, errors.New("throttle: Networks out of range (0 to 1,000,000)")
		case n > 0:
			usual[i] = n
		}
	}
	return usual, nil
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
