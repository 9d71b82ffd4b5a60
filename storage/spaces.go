package storage

import (
	"fmt"
	"strings"
)

// Spaced is a store whose subjects have a name space: the name of its account table. Use it if
// several account tables have credentials in one database, or under one issuer or master key, so
// that their IDs could collide. A store without this interface, or with the Space "", has subjects
// without a name space.
//
// In a space each subject and user ID of this package has the form SPACE:ID, such as "staff:1". The
// first colon separates them; [User.LocalID] returns the ID without the space. A store rejects
// subjects of other spaces: it reports them as absent and issues nothing for them.
type Spaced interface {
	// Space returns the name; see [CheckSpace].
	Space() string
}

// SpaceOf returns the name space of a store; "" if it has none.
func SpaceOf(store any) string {
	if s, ok := store.(Spaced); ok {
		return s.Space()
	}
	return ""
}

// SubjectIn returns the subject for an ID without the space: SPACE:ID, or id if space is "".
func SubjectIn(space, id string) string {
	if space == "" {
		return id
	}
	return space + ":" + id
}

// BelongsTo reports whether subject is in space. Every subject is in the space "", because a store
// without a space is never used together with another store.
func BelongsTo(space, subject string) bool {
	return space == "" ||
		len(subject) > len(space)+1 && subject[len(space)] == ':' && subject[:len(space)] == space
}

// maxSpace is the maximum length of a space's name, in bytes.
const maxSpace = 32

// CheckSpace returns ErrInvalid unless name can be the name of a space: 1 to 32 characters of a-z,
// 0-9 and _, or "" for a store without a space.
func CheckSpace(name string) error {
	if len(name) > maxSpace || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return fmt.Errorf("%w: space %q (1 to %d characters of a-z, 0-9 and _)", ErrInvalid, name, maxSpace)
	}
	return nil
}

// Space returns the name space of the account's ID; "" if it has none.
func (u *User) Space() string {
	if u.bare == 0 || int(u.bare) > len(u.ID) {
		return ""
	}
	return u.ID[:u.bare-1]
}

// InSpace returns u as an account of space, so that LocalID returns the ID without the space. A
// store with a space calls it for each account that it returns. It changes nothing if space is ""
// or u.ID does not begin with SPACE and a colon.
func (u User) InSpace(space string) User {
	u.bare = 0
	if space != "" && len(space) <= maxSpace && BelongsTo(space, u.ID) {
		u.bare = uint8(len(space) + 1)
	}
	return u
}
