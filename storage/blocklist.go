package storage

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// BlockKey names a thing that can be blocked, as a digest: whatever text it comes
// from, it has one size and no characters that mean something.
type BlockKey Digest

// The kinds of BlockKeyOf.
const (
	BlockJTI     = "jti" // one access token
	BlockSID     = "sid" // the access tokens of a family
	BlockSubject = "sub" // all access tokens of a subject
)

// BlockKeyOf returns the key of a thing: its kind, the issuer whose name it is, and
// its ID, each with its length before it. The SID of a family has the issuer "",
// since family IDs are unique in a store. An empty id gives the zero key, which is
// never blocked.
func BlockKeyOf(kind, issuer, id string) BlockKey {
	if id == "" {
		return BlockKey{}
	}
	b := make([]byte, 0, 256)
	for _, s := range [...]string{kind, issuer, id} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return BlockKey(sha256.Sum256(b))
}

// IsZero reports whether k is the zero key, which names nothing.
func (k BlockKey) IsZero() bool { return k == BlockKey{} }

// BlockKeys are the keys of one access token; zero ones are not asked.
type BlockKeys struct{ JTI, SID, Subject BlockKey }

// TokenStatus is what a store knows about an access token at one moment.
type TokenStatus struct {
	// Blocked: one of its keys is blocked.
	Blocked bool
	// Epoch is the subject's.
	Epoch int64
}

// Blocklist keeps what is refused before it expires by itself: access tokens are
// checked without a store otherwise.
type Blocklist interface {
	// Block blocks the keys that are not zero until a time, or longer where they are
	// blocked longer already.
	Block(ctx context.Context, until time.Time, keys ...BlockKey) error
	// TokenStatusOf returns, in one round trip, whether one of the keys is blocked and
	// the subject's epoch; 0 for a subject never seen. An entry counts until Prune
	// removes it.
	TokenStatusOf(ctx context.Context, subject string, keys BlockKeys) (TokenStatus, error)
	// TokenStatusWithUser is TokenStatusOf with the account, whose Epoch is that of the
	// standing, still in one round trip. ErrNotFound where the account is absent.
	TokenStatusWithUser(ctx context.Context, subject string, keys BlockKeys) (User, TokenStatus, error)
}
