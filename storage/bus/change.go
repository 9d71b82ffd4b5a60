package bus

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// Kind is the kind of record that a digest identifies. Records of two kinds with equal digests
// are different records. The numbers are part of the messages, so they never change.
type Kind uint8

const (
	StaticTokens  Kind = iota
	Credentials        // storage.Credential, of all purposes
	Sessions           // storage.Session
	AccessTokens       // storage.AccessToken
	Standings          // Blocklist.TokenStatusOf, by the token's JTI
	UserStandings      // Blocklist.TokenStatusWithUser, by the token's JTI
	Blocks             // storage.BlockKey: an entry of the blocklist, on which Standings, UserStandings and AccessTokens depend
	LiveUsers          // LiveUser, by the digest of the account's ID
	Permissions        // SubjectPermissions, by the digest of the subject
	Clients            // ClientByID. A change of a client is one of Blocks, with the digest BlockKeyOf("client", "", id)
	Links              // LinkOf. A change of a link is one of the subject of its account
	Kinds              // the number of kinds; not a kind
)

// Key identifies a cached record.
type Key struct {
	Kind   Kind
	Digest storage.Digest
}

// Invalidator removes entries from a cache after changes that the cache does not notice. The types
// Store and Parts of package cached implement it. Call its methods for changes that bypass the
// Store. For messages of other processes call Change.Apply. A lookup that begins after a method has
// returned uses no data from before the call.
type Invalidator interface {
	// InvalidateKey removes one record, or all records that depend on one entry of the blocklist.
	InvalidateKey(k Key)
	// InvalidateSubject removes all records of a subject, of all schemes.
	InvalidateSubject(subject string)
	// FlushAll removes everything.
	FlushAll()
	// Bypass(true) sends every lookup to the store and caches nothing, until Bypass(false). Use it
	// while messages from other processes may be lost. Both calls also remove everything from the
	// cache.
	Bypass(on bool)
}

// Change describes what changed. If All is true, everything may have changed. Otherwise all records
// of Subject may have changed or, if Subject is "", the record of Key.
type Change struct {
	Key     Key
	Subject string
	All     bool
}

// Apply removes from i what the change affects.
func (c Change) Apply(i Invalidator) {
	switch {
	case c.All:
		i.FlushAll()
	case c.Subject != "":
		i.InvalidateSubject(c.Subject)
	default:
		i.InvalidateKey(c.Key)
	}
}

// MarshalText encodes c as a message: "all", "subject <id>", or "key <kind> <hex>". The message
// contains no secret, because digests are computed from random texts.
func (c Change) MarshalText() ([]byte, error) {
	switch {
	case c.All:
		return []byte("all"), nil
	case c.Subject != "":
		return []byte("subject " + c.Subject), nil
	}
	return fmt.Appendf(nil, "key %d %x", c.Key.Kind, c.Key.Digest[:]), nil
}

// UnmarshalText decodes a message of MarshalText. It returns an error for any other text. In that
// case call FlushAll; do not ignore the message.
func (c *Change) UnmarshalText(text []byte) error {
	word, rest, _ := strings.Cut(string(text), " ")
	var got Change
	switch {
	case word == "all" && rest == "":
		got.All = true
	case word == "subject" && rest != "":
		got.Subject = rest
	case word == "key":
		number, digest, _ := strings.Cut(rest, " ")
		kind, err := strconv.ParseUint(number, 10, 8)
		if err != nil || Kind(kind) >= Kinds || strconv.FormatUint(kind, 10) != number || len(digest) != 2*len(got.Key.Digest) {
			return errMessage
		}
		got.Key.Kind = Kind(kind)
		if _, err := hex.Decode(got.Key.Digest[:], []byte(digest)); err != nil {
			return errMessage
		}
	default:
		return errMessage
	}
	*c = got
	return nil
}

var errMessage = errors.New("bus: Change.UnmarshalText: malformed message (all, subject ID, or key KIND HEX)")

// Read returns the change that a message describes. A message that cannot be read, such as one of a
// newer version, means that everything may have changed.
func Read(message string) Change {
	var c Change
	if c.UnmarshalText([]byte(message)) != nil {
		return Change{All: true}
	}
	return c
}
