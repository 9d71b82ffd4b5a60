package storage

import (
	"context"
	"errors"
	"time"
)

// SigningKey is a stored private key, encrypted under a master key.
type SigningKey struct {
	// ID is the key ID ("kid").
	ID string
	// Purpose is what the key signs, such as the issuer and kind of its tokens.
	Purpose   string
	Algorithm string
	// MasterID names the master key that encrypts Sealed.
	MasterID string
	Sealed   []byte
	Created  time.Time
	// SignsFrom is when the key begins to sign. It is later than Created, so that verifiers have
	// loaded the key by then.
	SignsFrom time.Time
	// Expires is when the key no longer verifies signatures; zero if that is not decided yet.
	Expires time.Time
}

// Check returns ErrInvalid, with the reason, if k cannot be stored.
func (k *SigningKey) Check() error {
	return errors.Join(CheckID("key id", k.ID), CheckID("purpose", k.Purpose), CheckID("algorithm", k.Algorithm), CheckID("master key id", k.MasterID))
}

// String returns the key's ID and nothing else.
func (k SigningKey) String() string { return "SigningKey(" + k.ID + ")" }

// GoString returns the same as String.
func (k SigningKey) GoString() string { return k.String() }

// SigningKeys stores the signing keys of all purposes.
type SigningKeys interface {
	// ListSigningKeys returns the keys of a purpose, including expired ones, in this order: the
	// last SignsFrom first, then the last Created, then by ID.
	ListSigningKeys(ctx context.Context, purpose string) ([]SigningKey, error)
	// SigningPurposes returns the purposes that have keys, including expired ones, sorted.
	SigningPurposes(ctx context.Context) ([]string, error)
	// CreateSigningKey inserts k if newest is the ID of the first key of ListSigningKeys, or "" if
	// there is no key. So only one of several concurrent processes creates a key. It returns
	// ErrConflict if another key is the first, or if the purpose has a key with k.ID, and
	// ErrInvalid if k.Check rejects k.
	CreateSigningKey(ctx context.Context, k SigningKey, newest string) error
	// ExpireSigningKey sets when a key no longer verifies signatures. It returns ErrNotFound if
	// there is no such key.
	ExpireSigningKey(ctx context.Context, purpose, id string, at time.Time) error
}
