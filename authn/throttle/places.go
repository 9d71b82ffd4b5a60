package throttle

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/network"
)

// places are the networks that contain an address, from narrow to wide.
type places struct {
	source string // IPv4 address, IPv6 /64: made known by a login, and the narrowest count
	wide   string // IPv4 address, IPv6 /56: counts attempts of unknown callers at one account
	block  string // IPv4 /28, IPv6 /56
	net    string // IPv4 /24, IPv6 /48
	vast   string // IPv4 /16, IPv6 /32: size of a provider or a large customer
}

// around returns the networks that contain the address, from narrow to wide. It returns none if the
// address is unknown. Limits of requests and of rejected credentials count in each of them.
func (p places) around() []string {
	if p.source == unknown {
		return nil
	}
	return []string{p.block, p.net, p.vast}
}

// asCausedBy returns p. For a request that a page of another site made a browser send, it returns
// separate places, so that its counts are separate from those of other requests.
func (p places) asCausedBy(r *http.Request) places {
	if p.source == unknown || !authn.FromAnotherSite(r) {
		return p
	}
	const mark = "another site "
	return places{mark + p.source, mark + p.wide, mark + p.block, mark + p.net, mark + p.vast}
}

// multiples returns the factors by which the rates of wider networks are higher than the rate of an
// address. A 0 in given means the default in usual.
func multiples(given, usual [3]int) ([3]int, error) {
	for i, n := range given {
		switch {
		case n < 0 || n > MaxLimit:
			return usual, fmt.Errorf("factor %d in Networks out of range (0 to 1,000,000)", n)
		case n > 0:
			usual[i] = n
		}
	}
	return usual, nil
}

// unknown is the place of requests without a client address.
const unknown = network.Unknown

func placesOf(a netip.Addr) places {
	p := places{source: network.Source.Name(a), block: network.Block.Name(a), net: network.Net.Name(a), vast: network.Vast.Name(a)}
	p.wide = p.block
	if network.Plain(a).Is4() {
		p.wide = p.source
	}
	return p
}
