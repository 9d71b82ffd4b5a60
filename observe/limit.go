package observe

import "time"

// Limit is a decision of a rate limit. An allowed login is reported once for each limit. A rejected
// login is reported only for the limit that rejected it.
type Limit struct {
	Name    LimitName
	Allowed bool
}

// LimitName names what a limit counts, such as the logins to one account.
type LimitName uint8

// The names of limits.
const (
	Account LimitName = iota // logins to one account
	Place                    // logins to one account from one address or device
	Net                      // logins from one network
	Source                   // logins, or rejected credentials, from one address
	Global                   // all logins
	Request                  // requests, by throttle.Anon, User and Scoped
	Limits                   // the number of names; not a name
)

// String returns "account", "place", "net", "source", "global" or "request".
func (l LimitName) String() string {
	return nameOf(l, "account", "place", "net", "source", "global", "request")
}

// PasswordWait is a wait for a slot of the password hasher.
type PasswordWait struct {
	// Known reports a caller that has logged in to the account before; see package throttle.
	Known bool
	// Busy reports that the caller got no slot, and was answered with 503.
	Busy bool
	Wait time.Duration
}

// PasswordHash is one computed hash.
type PasswordHash struct {
	// Algorithm is "argon2", "bcrypt", "pbkdf2", "scrypt" or "other".
	Algorithm string
	Duration  time.Duration
}
