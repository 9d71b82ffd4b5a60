// Package storage defines the records that authentication schemes store and the interfaces to store
// them. It imports only the standard library, so schemes and databases do not depend on each other.
// To get a store, use package memory (tests, prototypes) or gormstore (SQLite, PostgreSQL), or
// implement the interfaces that your schemes need.
//
// # Parts
//
// There are 25 interfaces, of one to nine methods each. A store implements any number of them, and
// a scheme requires only the interfaces that it uses. Method names are unique across them, so one
// value (a *memory.Store, a *gormstore.Store, or your own type) can serve all schemes.
//
//	Users, Accounts    accounts: read and create them; passwords, disabling, deletion
//	Subjects           epochs: one write revokes every credential of a subject
//	Permissions        named permissions of subjects and groups
//	StaticTokens       one derived token per subject (package token)
//	Credentials        any number of hashed credentials per subject, of any scheme (package
//	                   knox, or your own scheme); CredentialList lists and revokes them
//	Sessions           browser sessions (package session); SessionList lists and revokes them
//	Families           refresh tokens that replace each other
//	Blocklist          access tokens that are rejected before they expire; epochs for JWTs
//	SigningKeys        encrypted private keys
//	OneTimeTokens      links that work once, such as password reset links
//	Factors            second factors of accounts (package totp)
//	Replays, Attempts  IDs that were used; counters of limited attempts
//	Clients, Codes, AccessTokens, AuthRequests, DeviceGrants, Consents
//	                   OAuth 2.0
//	Links              users of other issuers that have an account (package authn/link)
//	Pruner             deletes expired records
//	Transactor         runs several calls in one transaction
//
// Complete is a store with all of them. LiveUsers, PermissionChecker and Lease are optional
// features for package cached. SessionCount and CredentialCount are optional, and make logins of
// accounts with many sessions or credentials cheaper. Spaced is for databases with several account
// tables. AccountSource is for wrappers of stores. RateLimits is for limits that several processes
// share (package throttle). EpochBatches is optional, and revokes the credentials of all accounts.
// Revocations and UnchangedTokens are optional, and let signed access tokens be accepted without a
// query (cached.Options.DenySet). AuditLog is optional, and stores audit events in the transaction of
// their change (audit.Options.Required). Retrier is optional, and repeats such a change after a
// deadlock.
//
// The documentation of each method defines what it does with absent, expired, malformed and already
// deleted records. Package storagetest tests an implementation, even one that has only some parts.
// Package cached adds a cache to one or several stores.
//
// # Errors
//
// ErrNotFound, ErrConflict, ErrStale, ErrLimit and ErrInvalid are definite results. Any other error
// means that the store failed: schemes return it unchanged and the client receives 503.
//
// # Time
//
// Times are UTC, with at least microsecond precision. A store does not use its own clock unless the
// method says so; schemes check expiry.
package storage

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"unicode/utf8"
	"unsafe"
)

var (
	// ErrNotFound means that there is no such record. Methods that delete a record also return it
	// if the record was already deleted.
	ErrNotFound = errors.New("storage: not found (unknown, revoked or deleted)")

	// ErrConflict means that another change came first: a unique name or digest exists already, or
	// the record to replace has changed since the caller read it. Nothing was changed.
	ErrConflict = errors.New("storage: conflict")

	// ErrStale means that the subject's epoch changed, or the subject was disabled or deleted,
	// after the caller read it. Nothing was changed. The credential that was to be stored must not
	// be issued.
	ErrStale = errors.New("storage: subject changed")

	// ErrLimit means that the subject has the maximum number of records of this kind. Nothing was
	// changed.
	ErrLimit = errors.New("storage: limit reached")

	// ErrInvalid means that the record cannot be stored, for example because an identifier is
	// empty, contains NUL, or is not UTF-8. Nothing was changed.
	ErrInvalid = errors.New("storage: invalid record")
)

// Digest is the SHA-256 of a secret that this library generated with at least 128 random bits. A
// store receives such secrets only in this form. Do not use it for passwords or chosen client
// secrets: they have too little entropy for a plain digest. Use a [PasswordHash].
type Digest [sha256.Size]byte

// DigestOf returns the digest of a generated secret.
func DigestOf(secret string) Digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(secret), len(secret))) // avoids a copy of the secret
}

// IsZero reports whether d is the zero digest, which no secret has.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns "[redacted]". A digest is not a secret, but it identifies one.
func (Digest) String() string { return redacted }

// GoString returns "[redacted]".
func (Digest) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Digest) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "[redacted]" as a JSON string.
func (Digest) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// PasswordHash is an encoded password hash, in PHC or Django format. An account without a usable
// password has a text that no hasher accepts, such as "" or "!…". Printing a PasswordHash prints
// "[redacted]"; string(h) returns the text.
type PasswordHash string

// String returns "[redacted]".
func (PasswordHash) String() string { return redacted }

// GoString returns "[redacted]".
func (PasswordHash) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (PasswordHash) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "[redacted]" as a JSON string.
func (PasswordHash) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

const redacted = "[redacted]"

// Transactor runs several calls of a store in one transaction.
//
// InTx runs fn in a transaction, which the context passed to fn carries. If fn returns an error or
// panics, the transaction is rolled back, and the error or the panic is passed on. Otherwise the
// transaction is committed before InTx returns. An InTx inside fn joins the running transaction.
//
// fn MUST use the context that it receives. A call with another context may wait forever for the
// transaction.
type Transactor interface {
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// Retrier is a [Transactor] that can run a transaction again.
//
// InRetriedTx is InTx, but if the database aborts the transaction in favor of another one (a
// deadlock or a serialization failure), it runs fn again in a new transaction. fn may therefore run
// several times, and MUST NOT have effects outside the transaction. Inside a running transaction it
// is InTx, because only the caller can repeat the running transaction.
type Retrier interface {
	InRetriedTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// MaxIDBytes is the maximum length of an identifier or name, in bytes.
const MaxIDBytes = 255

// CheckID returns ErrInvalid, with the reason, unless s can be a key: 1 to MaxIDBytes bytes of
// UTF-8 without NUL. Schemes call it before text from a request reaches a store, and stores call it
// again.
func CheckID(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: empty %s", ErrInvalid, what)
	case len(s) > MaxIDBytes:
		return fmt.Errorf("%w: %s of %d bytes (at most %d)", ErrInvalid, what, len(s), MaxIDBytes)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %s is not UTF-8", ErrInvalid, what)
	}
	for i := range len(s) {
		if s[i] == 0 {
			return fmt.Errorf("%w: %s contains NUL", ErrInvalid, what)
		}
	}
	return nil
}
