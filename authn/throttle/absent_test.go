package throttle_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// A missing setting keeps its default. Only an explicit value disables a limit.
func TestAbsentLimits_attack_359(t *testing.T) {
	guesses := func(l *throttle.LoginLimits) (n int) {
		x, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Limits: l, Clock: newClock().now})
		must(t, err)
		for range 500 {
			r := httptest.NewRequest("POST", "/", nil)
			r.RemoteAddr = "198.51.100.1:9"
			if _, err := x.Reserve(r, "owner"); err == nil {
				n++
			}
		}
		return n
	}
	one := []throttle.Rate{{1, time.Hour}}
	for name, x := range map[string]struct {
		limits *throttle.LoginLimits
		want   int
	}{
		"nil":               {nil, 5},
		"the zero limits":   {&throttle.LoginLimits{}, 5},
		"one of the others": {&throttle.LoginLimits{KnownDevice: one}, 5},
		"that one":          {&throttle.LoginLimits{AccountPlace: one}, 1},
		"that one off":      {&throttle.LoginLimits{AccountPlace: throttle.Unlimited()}, 30}, // Source and AccountNet are as usual
		"all off":           {only(&throttle.LoginLimits{}), 500},
	} {
		if n := guesses(x.limits); n != x.want {
			t.Errorf("%s: %d guesses at once, want %d", name, n, x.want)
		}
	}
	for name, rate := range map[string]throttle.Rate{"Off": throttle.Off(), "the zero rate": {}} {
		_, err := throttle.Anon(throttle.NewMemory(nil), rate, nil)
		if isOff := rate.IsOff(); (err == nil) != isOff {
			t.Errorf("Anon of %s: %v", name, err)
		}
	}
}
