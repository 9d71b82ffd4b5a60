package storage

import (
	"context"
	"math"
	"time"
)

// UnchangedTokens is a store that knows what was revoked recently, so that a scheme can accept most
// signed access tokens without a query. It is optional; package cached implements it, with
// Options.DenySet. Schemes that sign access tokens call it before they query the store.
type UnchangedTokens interface {
	// TokenLifetime returns two lifetimes. configured is the lifetime that the store was configured
	// for; no scheme over the store should exceed it. accepted is the longest lifetime that a token
	// can have. A scheme MUST reject tokens that live longer, because the store may have forgotten
	// that they were revoked. configured is 0 if the store knows nothing; accepted is then
	// NoTokenLimit. It is also NoTokenLimit until the store has read what other processes issue.
	TokenLifetime() (configured, accepted time.Duration)
	// TokenUnchanged reports that the token's subject, client, family and ID were not revoked,
	// disabled or deleted since the token was issued, and that the roles of its subject were not
	// reduced. Then all its claims are still true. It never queries a database. False means that
	// this is not certain: the caller must query the store.
	TokenUnchanged(ctx context.Context, t *IssuedToken) bool
	// UnchangedUser is TokenUnchanged with the account of the token's subject, which may need a
	// query for the first token of the subject. If ok is false, the caller must query the store. It
	// returns the errors of UserByID.
	UnchangedUser(ctx context.Context, t *IssuedToken) (u User, ok bool, err error)
	// TokenLease returns a lease that is valid while TokenUnchanged(t) is true.
	TokenLease(t *IssuedToken) Lease
	// Itself returns the store that has the methods; see [Itself].
	Itself() any
}

// UnchangedTokensOf returns the [UnchangedTokens] that a store offers with its own methods and with
// a configured lifetime, and nil if there is none.
func UnchangedTokensOf(store any) UnchangedTokens {
	t, ok := store.(UnchangedTokens)
	if !ok || !Itself(store) {
		return nil
	}
	if configured, _ := t.TokenLifetime(); configured == 0 {
		return nil
	}
	return t
}

// IssuedToken is what an access token depends on. The caller has verified its signature and expiry.
type IssuedToken struct {
	// Subject and Client are "" if the token has none.
	Subject, Client string
	// Keys are the keys of the blocklist.
	Keys BlockKeys
	// Lifetime is the time from its issue to its expiry, as the token says.
	Lifetime time.Duration
}

// Revocations is a store that lists what was revoked recently. It is optional; package cached needs
// it for Options.DenySet.
type Revocations interface {
	// RecordTokenLifetime records that access tokens with that lifetime are being issued. The
	// record counts until tokens of that lifetime have expired, and [RevocationMargin] longer.
	// Until then, no call returns a shorter lifetime. Call it while tokens are issued, at least
	// once a minute. While a lifetime is recorded, Block and EndFamily block for at least that
	// long, because a token of another process may live longer than the caller knows.
	//
	// It returns ErrInvalid if lifetime is below a second or above [MaxTokenLifetime].
	RecordTokenLifetime(ctx context.Context, lifetime time.Duration) (TokenLifetimes, error)
	// RevokedSince calls f for everything that was revoked at the given time or later: subjects
	// with a new epoch, subjects whose account was changed, and clients that were disabled or
	// deleted. It also calls f for all entries of the blocklist, even older ones. It reads one
	// snapshot, on the primary server. The same subject or client can come twice. It returns
	// ErrLimit, after limit calls, if there are more.
	RevokedSince(ctx context.Context, since time.Time, limit int, f func(Revocation)) error
}

const (
	// MaxTokenLifetime is the longest lifetime of Revocations.RecordTokenLifetime.
	MaxTokenLifetime = 24 * time.Hour
	// RevocationMargin is the time that is added to the longest lifetime: a revocation is
	// remembered for the sum of both. It covers the largest leeway of verifiers (5 minutes), and
	// differences between clocks.
	RevocationMargin = 10 * time.Minute
	// NoTokenLimit means that tokens of any lifetime can be accepted.
	NoTokenLimit time.Duration = math.MaxInt64
)

// TokenLifetimes is the result of Revocations.RecordTokenLifetime.
type TokenLifetimes struct {
	// Longest is the longest recorded lifetime that still counts.
	Longest time.Duration
	// Now is the time by the store's clock.
	Now time.Time
	// Since is the time from which on the store knows all revocations; zero means that it knows
	// all. It is the time of a migration, or of a change of the whole store.
	Since time.Time
}

// Revocation is something that was revoked: a subject, a client, or an entry of the blocklist.
type Revocation struct {
	Subject string
	Client  string
	Key     BlockKey
	// At is when it was revoked; zero if the store does not know.
	At time.Time
}
