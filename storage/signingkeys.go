package storage

import (
	"context"
	"errors"
	"time"
)

// SigningKey is a private key at rest, sealed under a master key.
type SigningKey struct {
	// ID is the "kid".
	ID string
	// Purpose is what the key signs, such as the issuer and kind of its tokens.
	Purpose   string
	Algorithm string
	// MasterID names the master key that Sealed is sealed under.
	MasterID string
	Sealed   []byte
	Created  time.Time
	// SignsFrom is when it begins to sign, so that verifiers know it by then.
	SignsFrom time.Time
	// Expires is when it stops to verify; zero: not decided yet.
	Expires time.Time
}

// Check returns ErrInvalid, with a word on why, unless k can be kept.
func (k *SigningKey) Check() error {
	return errors.Join(CheckID("key id", k.ID), CheckID("purpose", k.Purpose), CheckID("algorithm", k.Algorithm), CheckID("master key id", k.MasterID))
}

// String says nothing of the key but its ID.
func (k SigningKey) String() string { return "SigningKey(" + k.ID + ")" }

// GoString is String.
func (k SigningKey) GoString() string { return k.String() }

// SigningKeys keeps the signing keys of all purposes.
type SigningKeys interface {
	// ListSigningKeys returns the keys of a purpose, the last SignsFrom first (then
	// the last created, then by ID), expired ones included.
	ListSigningKeys(ctx context.Context, purpose string) ([]SigningKey, error)
	// SigningPurposes returns the purposes that have keys, expired ones included, sorted.
	SigningPurposes(ctx context.Context) ([]string, error)
	// CreateSigningKey inserts k where newest is the ID of the key that ListSigningKeys
	// gives first, or "" where there is none: of several processes that want to make
	// a key at once, one does. ErrConflict where it is another by now, or k.ID is
	// taken within its purpose; ErrInvalid where a text cannot be kept.
	CreateSigningKey(ctx context.Context, k SigningKey, newest string) error
	// ExpireSigningKey sets when a key stops to verify. ErrNotFound where there is no
	// such key.
	ExpireSigningKey(ctx context.Context, purpose, id string, at time.Time) error
}
