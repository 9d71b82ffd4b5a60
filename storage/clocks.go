package storage

import "time"

// A clock that is ahead gives records a creation time in the future. After the clock is corrected,
// such a record would stay valid for longer than its lifetime. Schemes therefore reject records
// whose creation time is further in the future than the allowed difference between clocks.
const (
	// ClockSkew is the maximum difference between the clocks of processes that share a store. It
	// applies to records that live for minutes: codes, pushed requests, pending pages, links,
	// access tokens and counters.
	ClockSkew = 5 * time.Minute

	// LoginClockSkew is ClockSkew for records that keep people and devices logged in: sessions,
	// refresh tokens, remember cookies and credentials with an expiry. It is longer, so that nobody
	// is logged out if a clock is set back by up to an hour.
	LoginClockSkew = time.Hour
)

// Ahead reports whether a time of creation is more than ClockSkew later than the current time. If
// so, the expiry of the record cannot be trusted.
func Ahead(now, created time.Time) bool { return created.After(now.Add(ClockSkew)) }

// LoginAhead is [Ahead] with LoginClockSkew.
func LoginAhead(now, created time.Time) bool { return created.After(now.Add(LoginClockSkew)) }
