package network_test

import (
	"net/netip"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/network"
)

func TestName(t *testing.T) {
	for text, want := range map[string][4]string{
		"192.0.2.77":                     {"192.0.2.77", "192.0.2.64/28", "192.0.2.0/24", "192.0.0.0/16"},
		"::ffff:192.0.2.77":              {"192.0.2.77", "192.0.2.64/28", "192.0.2.0/24", "192.0.0.0/16"},
		"::ffff:192.0.2.77%eth0":         {"192.0.2.77", "192.0.2.64/28", "192.0.2.0/24", "192.0.0.0/16"},
		"2001:db8:1234:56ff:a:b:c:d":     {"2001:db8:1234:56ff::/64", "2001:db8:1234:5600::/56", "2001:db8:1234::/48", "2001:db8::/32"},
		"fe80::1%eth0":                   {"fe80::/64", "fe80::/56", "fe80::/48", "fe80::/32"},
		"fe80::1%eth1":                   {"fe80::/64", "fe80::/56", "fe80::/48", "fe80::/32"},
		"::1":                            {"::/64", "::/56", "::/48", "::/32"},
		"0.0.0.0":                        {"0.0.0.0", "0.0.0.0/28", "0.0.0.0/24", "0.0.0.0/16"},
		"ffff:ffff:ffff:ffff:ffff::ffff": {"ffff:ffff:ffff:ffff::/64", "ffff:ffff:ffff:ff00::/56", "ffff:ffff:ffff::/48", "ffff:ffff::/32"},
	} {
		for i, level := range []network.Level{network.Source, network.Block, network.Net, network.Vast} {
			a := netip.MustParseAddr(text)
			if got := level.Name(a); got != want[i] {
				t.Errorf("%s, level %d: %s, want %s", text, i, got, want[i])
			}
			if p := level.Of(a); p.String() != want[i] && p.Addr().String() != want[i] || level.First(a) != p.Addr() {
				t.Errorf("%s, level %d: %s, %s", text, i, p, level.First(a))
			}
		}
	}
	for level := network.Source; level <= network.Vast; level++ {
		if level.Name(netip.Addr{}) != network.Unknown || level.Of(netip.Addr{}).IsValid() || level.First(netip.Addr{}).IsValid() {
			t.Errorf("level %d of no address: %s", level, level.Of(netip.Addr{}))
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{"::ffff:10.0.0.1": "10.0.0.1", "fe80::1%eth0": "fe80::1", "10.0.0.1": "10.0.0.1", "::1": "::1"} {
		if got := network.Plain(netip.MustParseAddr(text)); got != netip.MustParseAddr(want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if network.Plain(netip.Addr{}).IsValid() {
		t.Error("no address is one")
	}
}
