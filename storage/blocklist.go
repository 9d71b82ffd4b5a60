package storage

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// BlockKey identifies something that can be blocked. It is a digest, so it has a fixed size and no
// special characters, for every identifier.
type BlockKey Digest

// The kinds for BlockKeyOf.
const (
	BlockJTI     = "jti" // one access token
	BlockSID     = "sid" // all access tokens of a token family
	BlockSubject = "sub" // all access tokens of a subject
)

// BlockKeyOf returns the key for an ID of a kind and an issuer. The length of each text is hashed
// too, so different arguments give different keys. An empty id returns the zero key, which is never
// blocked.
//
// For BlockSID and a family of this store use the issuer "", because family IDs are unique in a
// store. For the claim "sid" of another issuer's token use that issuer.
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

// IsZero reports whether k is the zero key, which identifies nothing.
func (k BlockKey) IsZero() bool { return k == BlockKey{} }

// BlockKeys are the keys of one access token. Zero keys are ignored.
type BlockKeys struct{ JTI, SID, Subject BlockKey }

// TokenStatus is what a store knows about an access token at one moment.
type TokenStatus struct {
	// Blocked reports that one of the token's keys is blocked.
	Blocked bool
	// Epoch is the subject's current epoch.
	Epoch int64
}

// Blocklist stores access tokens that are rejected before they expire. Without it, signed access
// tokens are verified without a store.
type Blocklist interface {
	// Block blocks keys until a time, and ignores zero keys. It never shortens the time of a key
	// that is already blocked.
	Block(ctx context.Context, until time.Time, keys ...BlockKey) error
	// TokenStatusOf reports whether one of the keys is blocked, and returns the subject's epoch (0
	// for an unknown subject), in one round trip. An entry counts until Prune removes it.
	TokenStatusOf(ctx context.Context, subject string, keys BlockKeys) (TokenStatus, error)
	// TokenStatusWithUser is like TokenStatusOf, but also returns the account, in the same round
	// trip. The account has the same epoch as the status. It returns ErrNotFound if there is no
	// such account.
	TokenStatusWithUser(ctx context.Context, subject string, keys BlockKeys) (User, TokenStatus, error)
}
