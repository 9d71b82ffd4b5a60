package storage

import (
	"context"
	"slices"
	"time"
)

// StaticToken is the single long-lived token of a subject. Its text is derived from a master key,
// the subject and Salt. The store keeps what is needed to check the text and to derive it again,
// but not the text itself.
type StaticToken struct {
	Digest  Digest
	Subject string
	// Salt is 32 random bytes, new for each record.
	Salt []byte
	// KeyID names the master key from which the token was derived.
	KeyID string
	// Epoch is the subject's epoch, read before the login was verified.
	Epoch   int64
	Created time.Time
}

// StaticTokens stores at most one StaticToken per subject.
type StaticTokens interface {
	// StaticTokenByDigest returns the token and its account with the subject's current epoch in
	// User.Epoch, in one round trip to the database. It returns ErrNotFound if either is absent.
	// The caller compares the two epochs and checks User.Active.
	StaticTokenByDigest(ctx context.Context, d Digest) (StaticToken, User, error)
	// StaticTokenOf returns the subject's token, or ErrNotFound.
	StaticTokenOf(ctx context.Context, subject string) (StaticToken, error)
	// PutStaticToken writes t with one compare-and-swap. If old is zero, the subject must have no
	// token. Otherwise the digest of its token must be equal to old. It returns ErrConflict if that
	// fails or another subject has t.Digest. It returns ErrStale if the subject is absent or
	// disabled, or if its epoch is not t.Epoch. Errors change nothing.
	PutStaticToken(ctx context.Context, t StaticToken, old Digest) error
	// DeleteStaticToken deletes the token with that digest. It returns ErrNotFound if there is none
	// or it was already deleted.
	DeleteStaticToken(ctx context.Context, d Digest) error
	// DeleteStaticTokenOf deletes the subject's token; see DeleteStaticToken.
	DeleteStaticTokenOf(ctx context.Context, subject string) error
	// ListStaticTokens returns up to limit tokens with Subject > after, in order of Subject. If
	// after is "", the list starts at the beginning.
	ListStaticTokens(ctx context.Context, after string, limit int) ([]StaticToken, error)
}

// CloneCredential returns a *StaticToken that shares no slice with t. Package authn calls it so
// that application code cannot modify data that requests share.
func (t *StaticToken) CloneCredential() any {
	c := *t
	c.Salt = slices.Clip(slices.Clone(c.Salt))
	return &c
}
