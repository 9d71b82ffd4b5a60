package publicfetch

import "net/netip"

// special lists the special-purpose networks of IPv4, and those inside 2000::/3 of IPv6 (IANA
// special-purpose address registries). A server there is not on the public internet: it is the
// machine itself, its neighbors, the metadata service of a cloud, or a translator to these.
var special = parseAll(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)

var (
	// global is the only part of IPv6 in which public addresses are assigned.
	global = netip.MustParsePrefix("2000::/3")
	// translated holds IPv4 addresses for NAT64 (RFC 6052, section 2.1).
	translated = netip.MustParsePrefix("64:ff9b::/96")
)

func parseAll(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// allowed reports whether the fetcher may connect to an address.
func (f *Fetcher) allowed(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if f.opts.DNS64 && translated.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	return contains(f.opts.Addresses, a) || (a.Is4() || global.Contains(a)) && !contains(special, a)
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
