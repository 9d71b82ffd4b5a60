package throttle_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/throttle"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]throttle.Rate{
		"10/m": {10, time.Minute}, "5/15m": {5, 15 * time.Minute}, "100/h": {100, time.Hour}, "3/s": {3, time.Second}, "1000/d": {1000, 24 * time.Hour}, "5/90s": {5, 90 * time.Second}, "off": throttle.Off(), "1000000/366d": {1_000_000, 366 * 24 * time.Hour},
	} {
		got, err := throttle.ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if again, err := throttle.ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %q: %v", text, got, err)
		}
	}
	for _, text := range []string{"", "none", "5", "1.5/s", "5/w", "0/s", "5/month", "-1/s", "5/-1m", "5 / m", "5/", "/m", "5/m ", "5/0m", "05/m", "99999999999/m", "5/99999999999d", "5/367d", "1000001/m", "five/m", "5/m/h", "OFF", "5/M"} {
		if got, err := throttle.ParseRate(text); err == nil {
			t.Errorf("%q was taken as %v", text, got)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"10/m", "5/15m", "off", "1/d", "x", "9/9999999s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := throttle.ParseRate(s)
		if err != nil {
			return
		}
		if again, err := throttle.ParseRate(r.String()); err != nil || again != r {
			t.Errorf("%q is %v, written %q: %v", s, r, r.String(), err)
		}
	})
}

// The error names the function that got the rate, and the rate.
func TestRateOutOfRange(t *testing.T) {
	store, bad := throttle.NewMemory(nil), throttle.Rate{Limit: 10}
	limits := throttle.DefaultLoginLimits()
	limits.Account = []throttle.Rate{bad}
	for name, f := range map[string]func() error{
		"Anon":        func() error { _, err := throttle.Anon(store, bad, nil); return err },
		"User":        func() error { _, err := throttle.User(store, bad, nil); return err },
		"Scoped":      func() error { _, err := throttle.Scoped(store, "x", bad, nil); return err },
		"NewRefusals": func() error { _, err := throttle.NewRefusals(&throttle.RefusalOptions{Stop: bad}); return err },
		"NewLogin":    func() error { _, err := throttle.NewLogin(store, &throttle.LoginOptions{Limits: &limits}); return err },
	} {
		want := "throttle: " + name + ": rate of 10 in 0s out of range (1 to 1,000,000 in at most 366 days)"
		if err := f(); err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := throttle.User(nil, throttle.Rate{Limit: 1, Window: time.Minute}, nil); err == nil || err.Error() != "throttle: User: store must be set" {
		t.Errorf("no store: %v", err)
	}
}
