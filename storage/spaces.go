package storage

import (
	"fmt"
	"strings"
)

// Spaced is a store whose subjects have a name space: the name of its account table. Use it
// where several account tables have credentials that could meet, in one database or under one
// issuer or master key. A store that does not implement it, or whose Space is "", has plain
// subjects.
//
// In a space each subject and each user ID of this package is SPACE:ID, for example "staff:1".
// It is taken apart at the first colon; User.UserID returns the bare ID. A store refuses
// subjects of other spaces: it reports them as absent, and nothing is issued for them.
type Spaced interface {
	// Space returns the name; see CheckSpace.
	Space() string
}

// SpaceOf returns the name space of a store, "" where it has none.
func SpaceOf(store any) string {
	if s, ok := store.(Spaced); ok {
		return s.Space()
	}
	return ""
}

// SubjectIn returns the subject of the account with that bare ID: SPACE:ID, or id itself where
// space is "".
func SubjectIn(space, id string) string {
	if space == "" {
		return id
	}
	return space + ":" + id
}

// BelongsTo reports whether subject is one of space. Every subject is one of the space "":
// a store without a space is never beside another one.
func BelongsTo(space, subject string) bool {
	return space == "" ||
		len(subject) > len(space)+1 && subject[len(space)] == ':' && subject[:len(space)] == space
}

// maxSpace is the longest name of a space, in bytes.
const maxSpace = 32

// CheckSpace returns ErrInvalid unless name can be the name of a space: 1 to 32 of a-z, 0-9
// and _, or "" for a store that needs none.
func CheckSpace(name string) error {
	if len(name) > maxSpace || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return fmt.Errorf("%w: space %q (1 to %d of a-z, 0-9 and _)", ErrInvalid, name, maxSpace)
	}
	return nil
}

// Space returns the name space of the account's ID, "" where it has none.
func (u *User) Space() string {
	if u.bare == 0 || int(u.bare) > len(u.ID) {
		return ""
	}
	return u.ID[:u.bare-1]
}

// InSpace returns u as an account of space, so that UserID returns its bare ID. A store with a
// space calls it for each account that it returns. It changes nothing where u.ID is not
// SPACE:ID or space is "".
func (u User) InSpace(space string) User {
	u.bare = 0
	if space != "" && len(space) <= maxSpace && BelongsTo(space, u.ID) {
		u.bare = uint8(len(space) + 1)
	}
	return u
}
