// Package throttle limits rates. [Login] limits login attempts before a password is hashed. [Anon],
// [User] and [Scoped] limit requests. [Refusals] limits rejected credentials.
//
// Counts are in a [Store]: in the memory of the process ([Memory]), or in one that several processes
// share ([Shared]). Refusals always counts in memory.
package throttle

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of units in a window. The zero Rate means that no rate was set: options replace
// it by their default, and [Anon], [User] and [Scoped] return an error. For no limit, use [Off].
type Rate struct {
	Limit  int
	Window time.Duration
}

// The largest values of a [Rate].
const (
	MaxLimit  = 1_000_000
	MaxWindow = 366 * 24 * time.Hour
)

// Off returns a rate that means no limit, for [Anon], [User] and [Scoped].
func Off() Rate { return Rate{Limit: -1} }

// IsOff reports whether r is [Off].
func (r Rate) IsOff() bool { return r == Off() }

// IsZero reports whether r is the zero Rate.
func (r Rate) IsZero() bool { return r == Rate{} }

// String returns the rate in the format of [ParseRate].
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

// ParseRate parses a rate such as "10/m", "5/15m" or "100/h": a number, a slash, an optional
// number, and the unit s, m, h or d. "off" is [Off].
//
// It returns an error for any other text. In particular it rejects "", so that a missing setting
// does not disable a limit. It also rejects "5/month", which does not mean 5 per minute.
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

// count parses a number above 0 without sign and leading zeros.
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
	return fmt.Errorf("throttle: ParseRate: %q is not a rate (such as 10/m, 5/15m, 100/h, 1000/d or off)", s)
}

func (r Rate) check() error {
	if r.Limit < 1 || r.Limit > MaxLimit || r.Window <= 0 || r.Window > MaxWindow {
		return fmt.Errorf("rate of %d in %s out of range (1 to 1,000,000 in at most 366 days)", r.Limit, r.Window)
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
