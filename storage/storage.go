// Package storage holds the records that authentication schemes keep, and the small interfaces
// through which they keep them. It imports the standard library only, so that a scheme and a
// database meet here without knowing each other.
//
// # Parts
//
// There are 23 interfaces, of one to nine methods each. A store implements any of them, its parts,
// and a scheme asks for those that it needs. Their methods have different names, so one value
// (a *memory.Store, a *gormstore.Store, or your own type) can serve all schemes.
//
//	Users, Accounts    accounts: read and create them; passwords, disabling, deletion
//	Subjects           epochs: one write ends every credential of a subject
//	Permissions        named permissions of subjects and groups
//	StaticTokens       one derived token per subject (package token)
//	Credentials        any number of hashed credentials per subject, of any scheme (package
//	                   knox, and a scheme of your own); CredentialList lists and revokes them
//	Sessions           browser sessions (package session); SessionList lists and ends them
//	Families           refresh tokens that replace each other
//	Blocklist          tokens that are refused before they expire, and what JWTs depend on
//	SigningKeys        sealed private keys
//	OneTimeTokens      links that work once, such as those that reset a password
//	Replays, Attempts  what was used once; what can be tried a few times
//	Clients, Codes, AccessTokens, AuthRequests, DeviceGrants, Consents
//	                   OAuth 2.0
//	Pruner             deletes what has expired
//	Transactor         several calls as one
//
// Complete is a store with all of them. LiveUsers, PermissionChecker and Lease are for package
// cached, and Spaced is for databases with several tables of accounts.
//
// A contract says what happens to the absent, the expired, the malformed and the doubly deleted.
// Package storagetest proves an implementation against it, also one that has only some parts.
// Package cached puts a cache in front of one or several stores.
//
// # Errors
//
// ErrNotFound, ErrConflict, ErrStale, ErrLimit and ErrInvalid are answers. Any other error means
// that the store could not decide: schemes pass it on, and the client receives 503.
//
// # Time
//
// Times are UTC, with at least microsecond precision. A store compares nothing with its own clock
// unless the contract says so; schemes judge expiry.
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
	// ErrNotFound: there is no such record. Deleting an absent record, or one
	// that was deleted a moment ago, gives it too.
	ErrNotFound = errors.New("storage: not found")

	// ErrConflict: somebody else was first. A unique name or digest is taken,
	// or the record that the caller meant to replace is no longer the one it
	// read. Nothing was changed.
	ErrConflict = errors.New("storage: conflict")

	// ErrStale: the subject's epoch moved, or the subject is disabled or gone,
	// since the caller read it. Nothing was changed; the credential that was to
	// be written must not be issued.
	ErrStale = errors.New("storage: subject changed")

	// ErrLimit: the subject has as many records of this kind as it may have. Nothing
	// was changed.
	ErrLimit = errors.New("storage: limit reached")

	// ErrInvalid: the record cannot be kept as it is: an identifier is empty,
	// holds NUL, or is not UTF-8. Nothing was changed.
	ErrInvalid = errors.New("storage: invalid record")
)

// Digest is the SHA-256 of a secret that this library generated with at least
// 128 random bits. It is the only form in which a store sees such a
// secret. A password or a chosen client secret has too little entropy for a
// plain digest and never becomes one: see PasswordHash.
type Digest [sha256.Size]byte

// DigestOf returns the digest of a generated secret's text.
func DigestOf(secret string) Digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(secret), len(secret))) // without a copy, which may be on the heap
}

// IsZero reports whether d is the zero digest, which no secret has.
func (d Digest) IsZero() bool { return d == Digest{} }

// String says [redacted]: a digest is not a secret, but it identifies one.
func (Digest) String() string { return redacted }

// GoString says [redacted].
func (Digest) GoString() string { return redacted }

// LogValue says [redacted].
func (Digest) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON says "[redacted]".
func (Digest) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// PasswordHash is an encoded password hash, in PHC or in Django's form, or a
// text that no hasher accepts (such as "" or "!…") for an account that has no
// usable password. Printing it says [redacted]; string(h) gives the text.
type PasswordHash string

// String says [redacted].
func (PasswordHash) String() string { return redacted }

// GoString says [redacted].
func (PasswordHash) GoString() string { return redacted }

// LogValue says [redacted].
func (PasswordHash) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON says "[redacted]".
func (PasswordHash) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

const redacted = "[redacted]"

// Transactor runs several calls of a store as one.
//
// InTx runs fn in a transaction that the context it hands to fn carries; every
// store honours it. fn's error, or a panic in fn, rolls back and is passed on;
// otherwise the transaction commits before InTx returns. An InTx inside fn joins
// the transaction that is running. fn must use the context it was given: a call
// with another context may wait for the transaction, for ever.
type Transactor interface {
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// MaxIDBytes is the longest identifier or name a store accepts, in bytes.
const MaxIDBytes = 255

// CheckID returns ErrInvalid, with a word on why, unless s can be a key: not
// empty, at most MaxIDBytes bytes, UTF-8, without NUL. Schemes call it
// before a text from a request reaches a store, and stores call it again.
func CheckID(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: empty %s", ErrInvalid, what)
	case len(s) > MaxIDBytes:
		return fmt.Errorf("%w: %s of %d bytes", ErrInvalid, what, len(s))
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %s is not UTF-8", ErrInvalid, what)
	}
	for i := range len(s) {
		if s[i] == 0 {
			return fmt.Errorf("%w: %s holds NUL", ErrInvalid, what)
		}
	}
	return nil
}
