package throttle_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// An attacker guesses at invented names from all of an IPv6 /32, or from an IPv4 /16. Meanwhile 120
// accounts that never logged in log in with the right password, from networks of their own inside
// of it, and elsewhere. The table is in docs/simulations.md.
func TestSimulationOfFirstLogins(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	in6 := func(i int) string { return fmt.Sprintf("[2001:db8:%x:%x::1]:1", i*40503&0xffff, i>>4&0xffff) }
	in4 := func(i int) string { return fmt.Sprintf("198.51.%d.%d:1", i*167&255, i>>8*37&255) }
	list := []struct {
		perSecond int
		from      string
		addr      func(i int) string
		inside    int // of 120, at least
	}{
		{5, "one IPv6 /32", in6, 120}, {25, "one IPv6 /32", in6, 120}, {100, "one IPv6 /32", in6, 1}, {25, "one IPv4 /16", in4, 110},
	}
	rows := make([]string, len(list))
	t.Cleanup(func() { // after the parallel ones
		agrees(t, "first", "| guesses a second | from | first logins in the same /32 or /16 | elsewhere |\n|---|---|---|---|\n"+strings.Join(rows, ""))
	})
	for n, x := range list {
		t.Run(fmt.Sprint("attack_295_", x.perSecond, " from ", x.from), func(t *testing.T) {
			t.Parallel()
			s, random := newSim(t), rand.New(rand.NewPCG(1, 2))
			in, of := [2]int{}, 0
			for i := range 1200 * x.perSecond {
				s.wrong(x.addr(i), fmt.Sprint("\x00invented", i))
				step := time.Second / time.Duration(x.perSecond)
				before, after := time.Duration(random.Int64N(int64(step))), time.Duration(random.Int64N(int64(step)))
				s.c.add(before)
				if i%(10*x.perSecond) == 9*x.perSecond {
					for side, addr := range []string{x.addr(1_000_003 * (of + 1)), fmt.Sprintf("100.%d.%d.7:1", 64+of%60, of)} {
						if _, ok := s.right(addr, fmt.Sprint("\x00owner", of, side)); ok {
							in[side]++
						}
					}
					of++
				}
				s.c.add(after)
			}
			if of != 120 || in[1] != of || in[0] < x.inside {
				t.Errorf("%v of %d", in, of)
			}
			rows[n] = fmt.Sprintf("| %d | %s | %d of %d | %d of %d |\n", x.perSecond, x.from, in[0], of, in[1], of)
		})
	}
}
