package storage

import (
	"context"
	"slices"
	"time"
)

// StaticToken is the one long-lived token of a subject. The token's text is
// derived from a master key, the subject and Salt; the store keeps
// what is needed to check it and to derive it again, but not the text.
type StaticToken struct {
	Digest  Digest
	Subject string
	// Salt is 32 random bytes, drawn anew for each row.
	Salt []byte
	// KeyID names the master key that the token was derived under.
	KeyID string
	// Epoch is the subject's epoch as read before the login was verified.
	Epoch   int64
	Created time.Time
}

// StaticTokens keeps at most one StaticToken per subject.
type StaticTokens interface {
	// StaticTokenByDigest returns the token and its account, with the epoch that
	// the subject has now in User.Epoch, in one round trip to the database.
	// ErrNotFound where either is absent. The caller compares the two epochs and
	// looks at User.Active.
	StaticTokenByDigest(ctx context.Context, d Digest) (StaticToken, User, error)
	// StaticTokenOf returns the subject's token. ErrNotFound where it has none.
	StaticTokenOf(ctx context.Context, subject string) (StaticToken, error)
	// PutStaticToken writes t as one compare-and-swap. With a zero old the
	// subject must have no token; otherwise its token must still have the digest
	// old. ErrConflict where that fails or where t.Digest is taken by another
	// subject; ErrStale where the subject is absent, disabled, or its epoch is
	// not t.Epoch. Nothing is changed then.
	PutStaticToken(ctx context.Context, t StaticToken, old Digest) error
	// DeleteStaticToken removes the token with that digest; ErrNotFound where
	// there is none (any more).
	DeleteStaticToken(ctx context.Context, d Digest) error
	// DeleteStaticTokenOf removes the subject's token; ErrNotFound likewise.
	DeleteStaticTokenOf(ctx context.Context, subject string) error
	// ListStaticTokens returns up to limit tokens whose Subject is greater than
	// after, in order of Subject; "" starts at the beginning.
	ListStaticTokens(ctx context.Context, after string, limit int) ([]StaticToken, error)
}

// CloneCredential returns a *StaticToken that shares no list with t. Package authn calls it so
// that code of an application does not modify what requests share.
func (t *StaticToken) CloneCredential() any {
	c := *t
	c.Salt = slices.Clip(slices.Clone(c.Salt))
	return &c
}
