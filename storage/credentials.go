package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Credential is a long-lived secret of a subject, such as a device token or an API key: any
// number of them per subject, each with a name, scopes and an expiry of its own. The store
// keeps only the digest of its text.
//
// One record serves every scheme, also one that is not part of this library. Purpose keeps
// them apart: a store never returns, counts, changes or deletes a credential for a call that
// names another purpose, so the token of one scheme is never accepted by another.
type Credential struct {
	Digest Digest
	// Purpose names the scheme that issued the credential, such as "knox". See CheckPurpose.
	Purpose string
	// ID identifies the credential in lists and for revocation. It is random and not a
	// secret. A subject has it once, whatever the purpose.
	ID      string
	Subject string
	// Name is what the user calls the device or the program; shown, never compared.
	Name string
	// Scopes limit the credential. nil does not limit it, an empty list allows nothing.
	Scopes []string
	// Epoch is the subject's epoch, as read before the caller was authenticated.
	Epoch   int64
	Created time.Time
	// Expires is when the credential expires; zero means never.
	Expires time.Time
	// LastUsed is when it was used last, within the scheme's interval; zero means never.
	LastUsed time.Time
	// TTL is how far a use moves Expires; 0 leaves Expires as it is.
	TTL time.Duration
	// Max is the latest time that Expires moves to; zero means no limit.
	Max time.Time
	// Data belongs to the scheme: at most MaxDataBytes bytes, and not a secret.
	Data []byte
}

// Expired reports whether the credential has expired at now.
func (c *Credential) Expired(now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

// Check returns ErrInvalid, with the reason, unless a store can keep c.
func (c *Credential) Check() error {
	var size error
	if len(c.Data) > MaxDataBytes {
		size = fmt.Errorf("%w: credential data of %d bytes (at most %d)", ErrInvalid, len(c.Data), MaxDataBytes)
	}
	return errors.Join(size, CheckPurpose(c.Purpose), CheckID("subject", c.Subject), CheckID("credential id", c.ID),
		checkText("name", c.Name), checkScopes(c.Scopes))
}

// CloneCredential returns a *Credential that shares no list with c. Package authn calls it so
// that code of an application does not modify what requests share.
func (c *Credential) CloneCredential() any {
	out := *c
	out.Scopes, out.Data = slices.Clip(slices.Clone(c.Scopes)), slices.Clip(slices.Clone(c.Data))
	return &out
}

// maxPurpose is the longest purpose of a credential, in bytes.
const maxPurpose = 64

// CheckPurpose returns ErrInvalid unless name can be the purpose of a credential: 1 to 64 of
// a-z, 0-9, '-', '_' and '.'. The name of the scheme is a good purpose; two instances of one
// scheme that must not accept each other's credentials need two purposes.
func CheckPurpose(name string) error {
	ok := name != "" && len(name) <= maxPurpose
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
	}
	if !ok {
		return fmt.Errorf("%w: purpose %.80q (1 to %d of a-z, 0-9, '-', '_' and '.')", ErrInvalid, name, maxPurpose)
	}
	return nil
}

// CredentialLimit is how many credentials of one purpose a subject can have.
type CredentialLimit struct {
	// Max is the number; 0 means any number.
	Max int
	// Evict deletes the oldest credentials to make room. Otherwise a new one is refused.
	Evict bool
	// Now decides which credentials have expired; those do not count.
	Now time.Time
}

// Credentials is what a scheme needs to issue, accept and revoke credentials of its purpose.
// A malformed purpose counts as one without credentials; only CreateCredential reports it.
type Credentials interface {
	// CredentialByDigest returns the credential of that purpose, expired or not, and its
	// account, with the subject's present epoch in User.Epoch, in one round trip to the
	// database. It returns ErrNotFound if either is absent, and if the digest is that of a
	// credential of another purpose.
	CredentialByDigest(ctx context.Context, purpose string, d Digest) (Credential, User, error)
	// CreateCredential inserts c and enforces the limit in one change. Those of the subject's
	// credentials count that have c's purpose and the subject's present epoch and are not
	// expired at l.Now. It returns those that it evicted: the oldest by Created, then ID.
	//
	// ErrInvalid: c.Check refuses it. ErrStale: the subject is absent or disabled, or its epoch
	// is not c.Epoch. ErrConflict: the digest is taken, by whatever purpose, or the subject has
	// that ID. ErrLimit: there is no room and nothing may be evicted. If several of them hold, the
	// first in this order is returned. Nothing is changed then.
	CreateCredential(ctx context.Context, c Credential, l CredentialLimit) (evicted []Credential, err error)
	// TouchCredential records a use. If the credential exists, is not expired at used, and was
	// last used at before or earlier (or never), it sets LastUsed to used and Expires to
	// expires, and reports true. Expires moves neither back nor beyond Max; a zero expires
	// leaves it. Of concurrent calls one writes.
	//
	// A before that is after used corrects a time: the credential was last used by a clock that was
	// ahead. It is touched only if it was last used after used, and at before or earlier; Expires,
	// unless one of the two is zero, becomes expires then, also if that moves it back.
	TouchCredential(ctx context.Context, purpose string, d Digest, used, expires, before time.Time) (bool, error)
	// DeleteCredential deletes the subject's credential with that purpose and ID. It returns
	// ErrNotFound if there is none, also if it was deleted before.
	DeleteCredential(ctx context.Context, purpose, subject, id string) error
}

// CredentialList is how users and administrators list and revoke what a subject holds. A store
// whose users do not need it can be without.
type CredentialList interface {
	// ListCredentials returns up to limit credentials of the subject that have the purpose and
	// the subject's present epoch, the last created first (then by ID), expired ones included.
	ListCredentials(ctx context.Context, purpose, subject string, limit int) ([]Credential, error)
	// DeleteCredentialsOf deletes the subject's credentials of that purpose except the one
	// whose ID is keep ("" keeps none), and returns how many there were.
	DeleteCredentialsOf(ctx context.Context, purpose, subject, keep string) (int, error)
	// CredentialPurposes returns the purposes that ListCredentials has something for, sorted.
	CredentialPurposes(ctx context.Context, subject string) ([]string, error)
	// DeleteAllCredentialsOf deletes the subject's credentials of every purpose, and returns
	// how many there were.
	DeleteAllCredentialsOf(ctx context.Context, subject string) (int, error)
}
