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

// User is the stored record of an account: ID, name, password hash, and whether the account is
// enabled. An application with its own user table maps the record to it (see gormstore.UserTable)
// or implements [Users]. In an identity the record is part of an [Account], which also has
// permissions.
type User struct {
	// ID is the immutable identifier to which credentials are bound: the account's subject. It MUST
	// NOT be given to another account, not even after a deletion; otherwise that account inherits
	// credentials. In a store with a name space it has the form SPACE:ID; see [Spaced].
	ID string
	// Name is the canonical account name. It is unique and compared byte for byte. The code that
	// writes it must normalize it first (password.Options.Canonical).
	Name string
	// Email is displayed, never compared.
	Email string
	// Password is the encoded hash; the zero value means no usable password. It can be empty in a
	// User that was read together with a credential, such as a token or a session.
	Password PasswordHash
	// Active is false for a disabled account. It cannot log in, and its credentials are rejected.
	Active bool

	bare uint8 // the index in ID where the local ID begins

	// Roles are the account's coarse roles, such as "admin". A role is a non-empty text without
	// commas and NUL, and without white space at its ends. Use Accounts.SetRoles to change them.
	Roles []string
	// Created is when the account was created.
	Created time.Time
	// Epoch is the subject's epoch (the version of the account that every credential carries), as
	// read with the account. CreateUser ignores it.
	Epoch int64

	lease Lease
}

// Clone returns a copy of u that shares no slice with u.
func (u User) Clone() User {
	u.Roles = slices.Clip(slices.Clone(u.Roles))
	return u
}

// LocalID returns the account's ID in its own table: ID without the name space of the store (see
// [Spaced]). Use it for the application's own queries, and ID for everything in this library.
func (u *User) LocalID() string { return u.ID[min(int(u.bare), len(u.ID)):] }

// Check returns ErrInvalid, with the reason, if u cannot be stored. CreateUser calls it.
func (u *User) Check() error {
	if err := errors.Join(CheckID("user id", u.ID), CheckID("user name", u.Name)); err != nil {
		return err
	}
	if len(u.Email) > MaxEmailBytes {
		return fmt.Errorf("%w: email of %d bytes (at most %d)", ErrInvalid, len(u.Email), MaxEmailBytes)
	}
	if strings.ContainsRune(u.Email, 0) || !utf8.ValidString(u.Email) {
		return fmt.Errorf("%w: email contains NUL or is not UTF-8", ErrInvalid)
	}
	return CheckRoles(u.Roles)
}

// CheckRoles returns ErrInvalid unless an account can have the roles; see [User].Roles. Stores call
// it in CreateUser and SetRoles.
func CheckRoles(roles []string) error {
	for _, r := range roles {
		if r == "" || strings.ContainsAny(r, ",\x00") || strings.TrimSpace(r) != r || !utf8.ValidString(r) {
			return fmt.Errorf("%w: role is empty, contains a comma or NUL, begins or ends with white space, or is not UTF-8", ErrInvalid)
		}
	}
	return nil
}

// MaxEmailBytes is the maximum length of an e-mail address, in bytes (RFC 5321, section 4.5.3.1.3).
const MaxEmailBytes = 254

// Users reads and creates accounts.
type Users interface {
	// UserByID returns the account, enabled or not. If there is none, or the id is malformed, it
	// returns ErrNotFound.
	UserByID(ctx context.Context, id string) (User, error)
	// UserByName returns the account with a canonical name; otherwise it works like UserByID.
	UserByName(ctx context.Context, name string) (User, error)
	// ListUsers returns up to limit accounts with Name > after, in order of Name. If after is "",
	// the list starts at the beginning.
	ListUsers(ctx context.Context, after string, limit int) ([]User, error)
	// CreateUser inserts u. It returns ErrConflict if its ID or Name exists, and ErrInvalid if
	// u.Check rejects u. If a subject with that ID existed before, the new account gets the
	// subject's current epoch, so credentials of the old account do not match the new account.
	CreateUser(ctx context.Context, u User) error
}

// LiveUsers is a store that caches accounts, for callers that must check at each request whether an
// account is unchanged (password.Cached). It is optional; package cached implements it.
type LiveUsers interface {
	// LiveUser is UserByID without the password hash. It also returns the fingerprint of the hash
	// (PasswordHash.Fingerprint), which changes exactly when the hash changes.
	LiveUser(ctx context.Context, id string) (u User, fingerprint Digest, err error)
	// Itself returns the store that has the methods; see [Itself].
	Itself() any
}

// Fingerprint returns the digest of the hash. Compare fingerprints to find out whether a hash was
// replaced.
func (h PasswordHash) Fingerprint() Digest { return DigestOf(string(h)) }

// Accounts changes accounts. Each method is one atomic change. SetPassword, ChangePassword,
// disabling and DeleteUser also change the subject's epoch, which revokes every credential of every
// scheme.
type Accounts interface {
	// SetPassword stores a new hash, bumps the epoch and deletes the subject's static token and
	// credentials. It returns ErrNotFound if there is no such account.
	SetPassword(ctx context.Context, id string, hash PasswordHash) error
	// ChangePassword is SetPassword for a user who proved the old password. If the account is
	// disabled, or its epoch is not the epoch that was read with the old hash, ChangePassword
	// changes nothing and returns ErrStale. So it does not undo a reset or a disabling that
	// happened in between.
	ChangePassword(ctx context.Context, id string, epoch int64, hash PasswordHash) error
	// ReplaceHash replaces the stored hash, for example by a stronger hash of the same password. It
	// does so only if the stored hash is still the old hash. It does not bump the epoch. It returns
	// ErrConflict if another hash is stored, and ErrNotFound if there is no such account.
	ReplaceHash(ctx context.Context, id string, old, new PasswordHash) error
	// SetActive enables or disables the account. Disabling bumps the epoch and deletes the static
	// token and the credentials, even if the account was already disabled.
	SetActive(ctx context.Context, id string, active bool) error
	// SetRoles replaces the roles of the account. If roles is empty, the account has no roles. The
	// next read of the account returns the new roles, so they apply from the next request of every
	// scheme that reads the account. It does not bump the epoch, because credentials prove the
	// user's identity, not the roles. It returns ErrInvalid if CheckRoles rejects the roles, and
	// ErrNotFound if there is no such account.
	SetRoles(ctx context.Context, id string, roles ...string) error
	// DeleteUser deletes the account and all its records. The epoch is bumped, and is not deleted.
	// It returns ErrNotFound if there is no such account.
	DeleteUser(ctx context.Context, id string) error
}

// Subjects stores one epoch per subject: an integer that every credential record copies when it is
// created, and that is compared for equality at each use. It also works for subjects of an
// application's own user table: a subject without a row has the least epoch, which is 0 until
// [LogoutAll] raises it.
type Subjects interface {
	// SubjectEpoch returns the current epoch; the least epoch for an unknown subject.
	SubjectEpoch(ctx context.Context, subject string) (int64, error)
	// BumpEpoch sets the epoch to the greater of the old epoch plus 1 and the store's clock in
	// microseconds, and returns it. After [LogoutAll] an epoch can be ahead of the clock. This one write revokes every credential of the subject, of
	// every scheme. The revocation is complete when it returns.
	BumpEpoch(ctx context.Context, subject string) (int64, error)
	// DeleteSubject bumps the epoch and deletes every credential and permission of the subject.
	// Call it when an application with its own user table deletes a user. Calling it again is not
	// an error.
	DeleteSubject(ctx context.Context, subject string) error
}

// Permissions stores named permissions ("app.verb_noun") of subjects and groups. "*" grants all.
// Each Set method replaces the whole list; an empty list clears it. It returns ErrNotFound if the
// list is not empty and the subject has no account; otherwise a later account with that ID would
// have the permissions.
type Permissions interface {
	// SubjectPermissions returns the permissions of the subject and its groups, sorted and without
	// duplicates. An unknown subject has none.
	SubjectPermissions(ctx context.Context, subject string) ([]string, error)
	SetSubjectPermissions(ctx context.Context, subject string, perms []string) error
	SetSubjectGroups(ctx context.Context, subject string, groups []string) error
	SetGroupPermissions(ctx context.Context, group string, perms []string) error
}

// PermissionChecker is a store that caches permissions and can find a permission without copying
// the list. It is optional; package cached implements it.
type PermissionChecker interface {
	// SubjectHasPermission reports whether SubjectPermissions of subject contains name or "*".
	SubjectHasPermission(ctx context.Context, subject, name string) (bool, error)
	// Itself returns the store that has the methods; see [Itself].
	Itself() any
}
