package storage

import "time"

// If a clock was ahead when a record was created, the record stays valid for longer than its
// lifetime after the clock is corrected. Schemes therefore reject records whose time of creation
// lies further in the future than the clocks may differ.
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

// Ahead reports whether created is more than ClockSkew after now. If so, the expiry of the record
// cannot be trusted.
func Ahead(now, created time.Time) bool { return created.After(now.Add(ClockSkew)) }

// LoginAhead is [Ahead] with LoginClockSkew.
func LoginAhead(now, created time.Time) bool { return created.After(now.Add(LoginClockSkew)) }
