// Package throttle limits how often something may be tried: logins, before a
// password is hashed ([Login]), and requests ([Anon], [User], [Scoped]).
package throttle

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of units in a window. The zero Rate is none that was given: options take their
// default for it, and [Anon], [User] and [Scoped] refuse it. See [Off].
type Rate struct {
	Limit  int
	Window time.Duration
}

// Bounds of a rate.
const (
	MaxLimit  = 1_000_000
	MaxWindow = 366 * 24 * time.Hour
)

// Off returns the rate of [Anon], [User] and [Scoped] that limits nothing.
func Off() Rate { return Rate{Limit: -1} }

// IsOff reports whether r is [Off].
func (r Rate) IsOff() bool { return r == Off() }

// IsZero reports whether r is the zero Rate.
func (r Rate) IsZero() bool { return r == Rate{} }

// String returns the form that ParseRate takes.
func (r Rate) String() string {
	switch {
	case r.IsOff():
		return "off"
	case r.IsZero():
		return "none"
	}
	for _, u := range units {
		if r.Window%u.length == 0 {
			if n := r.Window / u.length; n > 1 {
				return fmt.Sprintf("%d/%d%c", r.Limit, n, u.letter)
			}
			return fmt.Sprintf("%d/%c", r.Limit, u.letter)
		}
	}
	return fmt.Sprintf("%d/%v", r.Limit, r.Window)
}

var units = [...]struct {
	letter byte
	length time.Duration
}{{'d', 24 * time.Hour}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}

// ParseRate reads "10/m", "5/15m", "100/h": a number, a slash, and a number (one
// where it is left out) of s, m, h or d. "off" is [Off]. It takes no other form: "" is an error, so
// that a setting that is absent limits nothing by mistake, and so is "5/month", which is not five a
// minute.
func ParseRate(s string) (Rate, error) {
	if s == "off" {
		return Off(), nil
	}
	limit, window, ok := strings.Cut(s, "/")
	n, nOK := count(limit)
	if !ok || !nOK || n > MaxLimit || window == "" {
		return Rate{}, rateError(s)
	}
	times, letter := window[:len(window)-1], window[len(window)-1]
	m := 1
	if times != "" {
		if m, ok = count(times); !ok {
			return Rate{}, rateError(s)
		}
	}
	for _, u := range units {
		if u.letter == letter {
			if m > int(MaxWindow/u.length) {
				return Rate{}, rateError(s)
			}
			return Rate{n, time.Duration(m) * u.length}, nil
		}
	}
	return Rate{}, rateError(s)
}

// count reads a number above 0 without sign or leading zeros.
func count(s string) (int, bool) {
	if s == "" || len(s) > 8 || s[0] == '0' || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func rateError(s string) error {
	if len(s) > 32 {
		s = s[:32] + "…"
	}
	return fmt.Errorf("rate %q: want a form like 10/m, 5/15m, 100/h, 1000/d or off", s)
}

func (r Rate) check() error {
	if r.Limit < 1 || r.Limit > MaxLimit || r.Window <= 0 || r.Window > MaxWindow {
		return errors.New("throttle: a rate has a limit of 1 to 1,000,000 in a window of up to 366 days")
	}
	return nil
}

func checkAll(rates []Rate) error {
	for _, r := range rates {
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}
