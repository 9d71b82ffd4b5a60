package authn

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

// parsedHop is parseHop without the shortcut.
func parsedHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), true
}

func FuzzHop(f *testing.F) {
	for _, s := range []string{"", ":", ":80", "192.0.2.1", "192.0.2.1:80", "[192.0.2.1]:80", "[::1]:80", "::1", "[::1]", "[fe80::1%a]:80", "fe80::1%a:", "1:2", "::ffff:192.0.2.1", " 192.0.2.1:1 ", "192.0.2.1:", "[1:2]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseHop(s)
		if want, wantOK := parsedHop(s); got != want || ok != wantOK {
			t.Errorf("%q: %v %t, want %v %t", s, got, ok, want, wantOK)
		}
	})
}

func FuzzAddrOf(f *testing.F) {
	for _, ip := range []net.IP{nil, {}, {1}, net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback, net.ParseIP("fe80::1"), make(net.IP, 17)} {
		f.Add([]byte(ip), 80, "")
		f.Add([]byte(ip), 0, "eth0")
	}
	f.Fuzz(func(t *testing.T, ip []byte, port int, zone string) {
		if zone != "" && (net.IP(ip).To4() != nil || strings.ContainsAny(zone, "%]") || strings.TrimSpace(zone) != zone) { // no zone of a connection
			return
		}
		a := &net.TCPAddr{IP: ip, Port: int(uint16(port)), Zone: zone}
		got, ok := addrOf(a)
		if want, wantOK := parseHop(a.String()); got != want || ok != wantOK {
			t.Errorf("%v: %v %t, want %v %t", a, got, ok, want, wantOK)
		}
	})
}
