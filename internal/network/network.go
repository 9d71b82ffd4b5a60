// Package network cuts addresses to the networks for which limits count. Every limit uses it, so
// that one client is in the same network everywhere.
package network

import "net/netip"

// A Level is how wide a network is.
type Level uint8

// The levels, from narrow to wide.
const (
	// Source is an IPv4 address, or the IPv6 /64 that a subscriber has at least.
	Source Level = iota
	// Block is an IPv4 /28 or an IPv6 /56: one customer, most often.
	Block
	// Net is an IPv4 /24 or an IPv6 /48.
	Net
	// Vast is an IPv4 /16 or an IPv6 /32: what one provider, or one large customer of it, has.
	Vast
)

var (
	bits4 = [...]int{Source: 32, Block: 28, Net: 24, Vast: 16}
	bits6 = [...]int{Source: 64, Block: 56, Net: 48, Vast: 32}
)

// Unknown is the name of every network of requests without an address.
const Unknown = "unknown"

// Plain returns an address in the one form that is compared and cut: without a zone, and an IPv4
// address that is mapped into IPv6 (::ffff:192.0.2.1) as IPv4.
func Plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// Of returns the network of an address, or the invalid Prefix if there is no address.
func (l Level) Of(a netip.Addr) netip.Prefix {
	a = Plain(a)
	bits := bits6[l]
	if a.Is4() {
		bits = bits4[l]
	}
	p, _ := a.Prefix(bits) // of no address it is none
	return p
}

// First returns the first address of the network: a name of it that is compared without a text.
// It is the invalid Addr if there is no address.
func (l Level) First(a netip.Addr) netip.Addr { return l.Of(a).Addr() }

// Name returns the network as a text: "192.0.2.1" for the Source of an IPv4 address, "2001:db8::/64"
// for that of an IPv6 one, and Unknown if there is no address.
func (l Level) Name(a netip.Addr) string {
	p := l.Of(a)
	switch {
	case !p.IsValid():
		return Unknown
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}
