package throttle_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// The network of one provider or large customer has a limit of rejected credentials too, because an
// IPv6 /32 contains 65,536 /48s.
func TestRefusalsOfWideNetworks_attack_339(t *testing.T) {
	small := throttle.RefusalOptions{Limit: throttle.Rate{Limit: 2, Window: time.Minute}}
	for name, x := range map[string]struct {
		from  func(i int) string
		opts  throttle.RefusalOptions
		want  int
		other string // of the next network
	}{
		"an IPv6 /32":   {func(i int) string { return fmt.Sprintf("[2001:db8:%x::1]:1", i) }, small, 512, "[2001:db9::1]:1"},
		"an IPv4 /16":   {func(i int) string { return fmt.Sprintf("198.51.%d.%d:1", i%256, i/256*16) }, small, 512, "198.52.0.1:1"},
		"an IPv6 /56":   {func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:1", i%256) }, small, 4, "[2001:db8:1:100::1]:1"},
		"an IPv4 /28":   {func(i int) string { return fmt.Sprintf("192.0.2.%d:1", i%16) }, small, 4, "192.0.2.16:1"},
		"an IPv6 /48":   {func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:1", i*64) }, small, 8, "[2001:db8:2::1]:1"},
		"other numbers": {func(i int) string { return fmt.Sprintf("[2001:db8:%x::1]:1", i) }, throttle.RefusalOptions{Limit: small.Limit, Networks: [3]int{0, 0, 10}}, 20, "[2001:db9::1]:1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, x.opts)
			got := map[int]int{}
			for i := range 1020 {
				got[d.ask(x.from(i), "Key bad").Code]++
			}
			if got[401] != x.want || got[429] != 1020-x.want {
				t.Errorf("%v, want %d", got, x.want)
			}
			if w := d.ask(x.other, "Key bad"); w.Code != 401 {
				t.Errorf("the next network: %d", w.Code)
			}
			if w := d.ask(x.other, "Key good"); w.Code != 200 {
				t.Errorf("a good one there: %d", w.Code)
			}
		})
	}
	t.Run("a flood is not checked", func(t *testing.T) {
		d := newDoor(t, throttle.RefusalOptions{Limit: small.Limit, Networks: [3]int{0, 0, 10}}) // Stop of the /32: 200
		from := func(i int) string { return fmt.Sprintf("[2001:db8:%x::1]:1", i) }
		for i := range 100 {
			d.ask(from(i), "Key bad")
		}
		d.ask(from(5000), "Key good-during")
		for i := range 2000 {
			d.ask(from(i), "Key bad"+strconv.Itoa(i))
		}
		if d.k.asked > 450 { // Stop, and as many spare ones
			t.Errorf("%d of 2,000 were checked", d.k.asked)
		}
		if w := d.ask(from(5000), "Key good-during"); w.Code != 200 {
			t.Errorf("a credential that was accepted from there: %d", w.Code)
		}
		if w := d.ask(from(6000), "Key good-new"); w.Code != 429 {
			t.Errorf("a new one from there, beyond the spare ones: %d", w.Code)
		}
		if w := d.ask("[2001:db9::1]:1", "Key good-new"); w.Code != 200 {
			t.Errorf("another provider: %d", w.Code)
		}
		d.c.add(2 * time.Second)
		if w := d.ask(from(6000), "Key good-new"); w.Code != 200 {
			t.Errorf("after the pause: %d", w.Code)
		}
	})
	for _, n := range [][3]int{{-1}, {0, throttle.MaxLimit + 1}} {
		if _, err := throttle.NewRefusals(&throttle.RefusalOptions{Networks: n}); err == nil {
			t.Errorf("%v was accepted", n)
		}
	}
}
