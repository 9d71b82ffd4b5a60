//go:build timing

package password_test

import (
	"cmp"
	"math"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
)

// TestTiming compares how long a wrong password and an unknown name take without the minimum time:
// medians, and the Mann-Whitney U test. It only prints the results; other tests check the minimum
// time and the number of hashes.
func TestTiming(t *testing.T) {
	h, err := password.NewHasher(nil)
	must(t, err)
	w := newWorld(t, h, password.Options{FailureFloor: time.Nanosecond})
	w.register(t, "alice")
	const pairs, warmUp = 400, 40
	var known, unknown []float64
	measure := func(name string) float64 {
		begin := time.Now()
		if _, err := w.checker.CheckPassword(httptest.NewRequest("POST", "/", nil), name, "wrong"); err == nil {
			t.Fatal("taken")
		}
		return float64(time.Since(begin).Microseconds())
	}
	for i := range pairs + warmUp {
		a, b := measure("alice"), measure("nobody")
		if i >= warmUp {
			known, unknown = append(known, a), append(unknown, b)
		}
	}
	t.Logf("median: wrong password %.0f µs, unknown name %.0f µs; Mann-Whitney p = %.3f over %d pairs", median(known), median(unknown), mannWhitney(known, unknown), pairs)
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// mannWhitney returns the two-sided p of the normal approximation.
func mannWhitney(x, y []float64) float64 {
	type sample struct {
		v     float64
		fromX bool
	}
	var all []sample
	for _, v := range x {
		all = append(all, sample{v, true})
	}
	for _, v := range y {
		all = append(all, sample{v, false})
	}
	slices.SortFunc(all, func(a, b sample) int { return cmp.Compare(a.v, b.v) })
	var rank float64
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].v == all[i].v {
			j++
		}
		for k := i; k < j; k++ {
			if all[k].fromX {
				rank += float64(i+j+1) / 2
			}
		}
		i = j
	}
	n, m := float64(len(x)), float64(len(y))
	u := rank - n*(n+1)/2
	z := (u - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
	return math.Erfc(math.Abs(z) / math.Sqrt2)
}
