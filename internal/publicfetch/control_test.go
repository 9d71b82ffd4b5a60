package publicfetch

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

// The address is checked again when it is connected to, whatever was decided before.
func TestCheckAtConnection(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	loopback := netip.MustParseAddr("127.0.0.1")
	if _, err := New(Options{}).transport([]netip.Addr{loopback}).DialContext(t.Context(), "tcp", l.Addr().String()); !errors.Is(err, ErrAddress) {
		t.Errorf("connected: %v", err)
	}
	allowing := New(Options{Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	conn, err := allowing.transport([]netip.Addr{loopback}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
