package storage

import "time"

// A record that was created while a clock was ahead would stay valid for longer than its lifetime
// once the clock is right. Schemes therefore refuse records whose time of creation lies in the
// future, by more than clocks may differ.
const (
	// ClockSkew is how far the clocks of processes that share a store may differ. It is for what
	// lives for minutes: codes, pushed requests, pages that wait, links, access tokens and counters.
	ClockSkew = 5 * time.Minute

	// LoginClockSkew is ClockSkew for what keeps people and devices logged in: sessions, refresh
	// tokens, remember cookies and credentials with an expiry. It is longer, so that a clock which is
	// set back by up to an hour logs nobody out.
	LoginClockSkew = time.Hour
)

// Ahead reports whether created is more than ClockSkew after now, so that the expiry of a record from
// that time proves nothing.
func Ahead(now, created time.Time) bool { return created.After(now.Add(ClockSkew)) }

// LoginAhead is Ahead with LoginClockSkew.
func LoginAhead(now, created time.Time) bool { return created.After(now.Add(LoginClockSkew)) }
