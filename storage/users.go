package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// User is the record of an account as the schemes need it: to whom a name and a password belong,
// and whether the account is enabled. An application with its own user table maps the record onto
// it (see gormstore.UserTable), or implements Users over it. In an identity the record is part of
// an [Account], which has permissions too.
type User struct {
	// ID is the immutable identifier that credentials are bound to: the account's subject.
	// It MUST NOT be given to another account, not even after a deletion, or that account
	// inherits credentials. In a store with a name space it is SPACE:ID; see Spaced.
	ID string
	// Name is the canonical account name: unique, and compared byte for byte.
	// Whoever writes it brings it to its normal form first (password.Options.Canonical).
	Name string
	// Email is shown, never compared.
	Email string
	// Password is the encoded hash; the zero value is an unusable password. A User that
	// comes with a credential (a token, a session, a standing) may be without it.
	Password PasswordHash
	// Active is false for a disabled account: it cannot log in, and whatever it
	// holds is refused.
	Active bool

	bare uint8 // where the bare ID begins in ID

	// Roles are the account's coarse roles, such as "admin". A role is not empty, holds no comma
	// and no NUL, and neither begins nor ends with a blank. Accounts.SetRoles changes them.
	Roles []string
	// Created is when the account was made.
	Created time.Time
	// Epoch is the subject's state counter as read with the account.
	// CreateUser ignores it.
	Epoch int64

	lease Lease
}

// Clone returns a copy of u that shares no list with it.
func (u User) Clone() User {
	u.Roles = slices.Clip(slices.Clone(u.Roles))
	return u
}

// LocalID returns the account's ID as its table has it: ID without the name space of the store
// (see Spaced). Use it for the application's own queries, and ID for everything of this library.
func (u *User) LocalID() string { return u.ID[min(int(u.bare), len(u.ID)):] }

// Check returns ErrInvalid, with a word on why, unless u can be kept. CreateUser
// calls it.
func (u *User) Check() error {
	if err := errors.Join(CheckID("user id", u.ID), CheckID("user name", u.Name)); err != nil {
		return err
	}
	if len(u.Email) > MaxEmailBytes {
		return fmt.Errorf("%w: an email of %d bytes (at most %d)", ErrInvalid, len(u.Email), MaxEmailBytes)
	}
	if strings.ContainsRune(u.Email, 0) || !utf8.ValidString(u.Email) {
		return fmt.Errorf("%w: email holds NUL or is not UTF-8", ErrInvalid)
	}
	return CheckRoles(u.Roles)
}

// CheckRoles returns ErrInvalid unless an account can have the roles. Stores call it in CreateUser
// and SetRoles.
func CheckRoles(roles []string) error {
	for _, r := range roles {
		if r == "" || strings.ContainsAny(r, ",\x00") || strings.TrimSpace(r) != r || !utf8.ValidString(r) {
			return fmt.Errorf("%w: a role is empty, holds a comma or NUL, begins or ends with a blank, or is not UTF-8", ErrInvalid)
		}
	}
	return nil
}

// MaxEmailBytes is the longest e-mail address a store accepts, in bytes (RFC 5321, section 4.5.3.1.3).
const MaxEmailBytes = 254

// Users reads and creates accounts.
type Users interface {
	// UserByID returns the account, active or not. ErrNotFound where there is
	// none; a malformed id counts as absent.
	UserByID(ctx context.Context, id string) (User, error)
	// UserByName returns the account of a canonical name, as UserByID does.
	UserByName(ctx context.Context, name string) (User, error)
	// ListUsers returns up to limit accounts whose Name is greater than after,
	// in order of Name; "" starts at the beginning.
	ListUsers(ctx context.Context, after string, limit int) ([]User, error)
	// CreateUser inserts u. ErrConflict where its ID or Name is taken,
	// ErrInvalid where one of them, the Email or a role cannot be kept. The new subject's epoch
	// survives from an earlier subject of that ID, so that nothing of the old
	// one fits the new one.
	CreateUser(ctx context.Context, u User) error
}

// LiveUsers is a store that keeps accounts at hand, for who must know at each request
// whether one is still as it was (password.Cached). It is optional: package cached has it.
type LiveUsers interface {
	// LiveUser is UserByID without the password hash. fingerprint is equal for two calls
	// exactly where the hash was the same: Fingerprint of the hash.
	LiveUser(ctx context.Context, id string) (u User, fingerprint Digest, err error)
	// Itself returns the store that has the methods; see [Itself].
	Itself() any
}

// Fingerprint tells whether a hash is the one that it was.
func (h PasswordHash) Fingerprint() Digest { return DigestOf(string(h)) }

// Accounts changes accounts. Each method is one atomic change. SetPassword, ChangePassword,
// disabling and DeleteUser bump the subject's epoch in the same change, so that every credential
// of every scheme ends with it.
type Accounts interface {
	// SetPassword stores a new hash, bumps the epoch and deletes the subject's static
	// token and device tokens. ErrNotFound where the account is absent.
	SetPassword(ctx context.Context, id string, hash PasswordHash) error
	// ChangePassword is SetPassword for who proved the old password: it changes
	// nothing and gives ErrStale where the account is disabled by now or its epoch
	// is not the one read with the old hash, so that a reset or a disabling in
	// between stays.
	ChangePassword(ctx context.Context, id string, epoch int64, hash PasswordHash) error
	// ReplaceHash exchanges the hash only while it is still old, and bumps
	// nothing: the password is the same, its encoding is better.
	// ErrConflict where the stored hash is another by now, ErrNotFound where
	// the account is absent.
	ReplaceHash(ctx context.Context, id string, old, new PasswordHash) error
	// SetActive enables or disables the account. Disabling bumps the epoch and
	// deletes the static token and the device tokens, also where the account was disabled already.
	SetActive(ctx context.Context, id string, active bool) error
	// SetRoles replaces the roles of the account; none clears them. The next read of the account
	// returns them, so that the next request of every scheme that reads it has them. It bumps
	// nothing, because credentials prove who the user is, not the user's roles. ErrInvalid: see
	// CheckRoles. ErrNotFound: the account is absent.
	SetRoles(ctx context.Context, id string, roles ...string) error
	// DeleteUser removes the account and everything that hangs on it. Its epoch
	// is bumped and stays behind. ErrNotFound where the account is absent.
	DeleteUser(ctx context.Context, id string) error
}

// Subjects keeps one epoch per subject: an integer that every credential record
// notes at its birth and that is compared for equality at each use.
// It works for subjects of a foreign user table too: a subject that has no row
// has epoch 0.
type Subjects interface {
	// SubjectEpoch returns the current epoch; 0 for a subject never seen.
	SubjectEpoch(ctx context.Context, subject string) (int64, error)
	// BumpEpoch sets the epoch to the greater of the old one + 1 and the store's
	// clock in microseconds, and returns it. Every credential of the subject, of
	// every scheme, has ended when it returns: log-out-everywhere in one write.
	BumpEpoch(ctx context.Context, subject string) (int64, error)
	// DeleteSubject bumps the epoch and deletes every credential and permission
	// row of the subject. It is the delete hook of an application that keeps its
	// users in a table of its own; forgetting twice is no error.
	DeleteSubject(ctx context.Context, subject string) error
}

// Permissions keeps named permissions ("app.verb_noun") of subjects and groups.
// Each Set replaces the whole list; an empty one clears it. "*" grants all. ErrNotFound where the
// subject of a list that is not empty has no account: else the list would be that of a later
// account of its ID.
type Permissions interface {
	// SubjectPermissions returns the subject's own permissions and those of its
	// groups, each once, sorted; nothing for an unknown subject.
	SubjectPermissions(ctx context.Context, subject string) ([]string, error)
	SetSubjectPermissions(ctx context.Context, subject string, perms []string) error
	SetSubjectGroups(ctx context.Context, subject string, groups []string) error
	SetGroupPermissions(ctx context.Context, group string, perms []string) error
}

// PermissionChecker is a store that keeps permissions at hand and can look for one without
// a copy of the list. It is optional: package cached implements it.
type PermissionChecker interface {
	// SubjectHasPermission reports whether the SubjectPermissions of subject contain name
	// or "*".
	SubjectHasPermission(ctx context.Context, subject, name string) (bool, error)
	// Itself returns the store that has the methods; see [Itself].
	Itself() any
}
