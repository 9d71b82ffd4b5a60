package flood

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// Good credentials from the many networks of one provider do not make the others' networks unknown.
func TestGoodNetworksOfOneProvider_attack_399(t *testing.T) {
	f := New(10, 5)
	from := func(b ...byte) netip.Addr {
		var a [16]byte
		copy(a[:], b)
		return netip.AddrFrom16(a)
	}
	for i := range 1000 {
		f.Known(storage.WithClientAddr(t.Context(), from(0x26, 1, byte(i>>8), byte(i), 0, 1)))
	}
	for i := range 60_000 {
		f.Known(storage.WithClientAddr(t.Context(), from(0x20, 1, 0x0d, 0xb8, byte(i>>8), byte(i))))
	}
	known := 0
	for i := range 1000 {
		if _, good := f.Standing(storage.WithClientAddr(t.Context(), from(0x26, 1, byte(i>>8), byte(i), 0, 1)), time.Second); good {
			known++
		}
	}
	if known < 990 || len(f.good) != maxGood {
		t.Errorf("%d of 1,000 networks are known, %d in all", known, len(f.good))
	}
	for net := range f.good {
		f.forget(net)
	}
	if len(f.vast) != 0 {
		t.Errorf("numbers are left: %v", f.vast)
	}
}
