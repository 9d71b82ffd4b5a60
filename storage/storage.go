// Package storage holds the records that authentication schemes keep and the
// small interfaces they keep them through. It imports the standard library
// alone, so that a scheme and a database meet here without knowing each other.
//
// Every interface has three to six methods and its own method names, so one
// value (a *memory.Store, a *gormstore.Store, or your own type) can serve all
// schemes at once. A contract below says what happens to the absent, the
// expired, the malformed and the doubly deleted; package storagetest proves an
// implementation against it.
//
// # Errors
//
// ErrNotFound, ErrConflict, ErrStale and ErrLimit are answers. Any other error means that
// the store could not decide: schemes pass it on and the client is told 503.
//
// # Time
//
// Times are UTC, with at least microsecond precision. A store compares nothing
// with its own clock unless the contract says so; schemes do that.
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

	// ErrInvalid: the record can not be kept as it is: an identifier is empty,
	// holds NUL, or is not UTF-8. Nothing was changed.
	ErrInvalid = errors.New("storage: invalid record")
)

// Digest is the SHA-256 of a secret that this library generated with at least
// 128 random bits (RULES K3). It is the only form in which a store sees such a
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

// MaxIDLen is the longest identifier or name a store accepts, in bytes.
const MaxIDLen = 255

// CheckID returns ErrInvalid, with a word on why, unless s can be a key: not
// empty, at most MaxIDLen bytes, UTF-8, without NUL (RULES C5). Schemes call it
// before a text from a request reaches a store, and stores call it again.
func CheckID(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: empty %s", ErrInvalid, what)
	case len(s) > MaxIDLen:
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
