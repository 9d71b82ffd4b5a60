package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Credential is a long-lived secret of a subject, such as a device token or an API key. A subject
// can have any number of them, each with its own name, scopes and expiry. The store keeps only the
// digest of the secret.
//
// The record serves every scheme, including schemes outside this library. Purpose separates them: a
// store never returns, counts, changes or deletes a credential in a call with another purpose, so a
// token of one scheme is never accepted by another.
type Credential struct {
	Digest Digest
	// Purpose names the scheme that issued the credential, such as "knox"; see [CheckPurpose].
	Purpose string
	// ID identifies the credential in lists and for revocation. It is random, is not a secret, and
	// is unique among the subject's credentials of all purposes.
	ID      string
	Subject string
	// Name is the user's name for the device or program. It is displayed, never compared.
	Name string
	// Scopes limit the credential. Nil means no limit; an empty list allows nothing.
	Scopes []string
	// Epoch is the subject's epoch, read before the caller was authenticated.
	Epoch   int64
	Created time.Time
	// Expires is when the credential expires; zero means never.
	Expires time.Time
	// LastUsed is the time of the last recorded use; zero means never. Schemes record at most one
	// use per interval, such as a minute.
	LastUsed time.Time
	// TTL is the time from a use to the new Expires; 0 means that a use does not change Expires.
	TTL time.Duration
	// Max is the latest value of Expires; zero means no limit.
	Max time.Time
	// Data belongs to the scheme. It has at most MaxDataBytes bytes and MUST NOT contain a secret.
	Data []byte
}

// Expired reports whether the credential has expired at the given time.
func (c *Credential) Expired(now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

// Check returns ErrInvalid, with the reason, if c cannot be stored.
func (c *Credential) Check() error {
	var size error
	if len(c.Data) > MaxDataBytes {
		size = fmt.Errorf("%w: credential data of %d bytes (at most %d)", ErrInvalid, len(c.Data), MaxDataBytes)
	}
	return errors.Join(size, CheckPurpose(c.Purpose), CheckID("subject", c.Subject), CheckID("credential id", c.ID),
		checkText("name", c.Name), checkScopes(c.Scopes))
}

// CloneCredential returns a *Credential that shares no slice with c. Package authn calls it so that
// application code cannot modify data that requests share.
func (c *Credential) CloneCredential() any {
	out := *c
	out.Scopes, out.Data = slices.Clip(slices.Clone(c.Scopes)), slices.Clip(slices.Clone(c.Data))
	return &out
}

// maxPurpose is the maximum length of a purpose, in bytes.
const maxPurpose = 64

// CheckPurpose returns ErrInvalid unless name can be the purpose of a credential: 1 to 64
// characters of a-z, 0-9, '-', '_' and '.'. Use the name of the scheme. If two instances of a
// scheme must not accept each other's credentials, give them different purposes.
func CheckPurpose(name string) error {
	ok := name != "" && len(name) <= maxPurpose
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
	}
	if !ok {
		return fmt.Errorf("%w: purpose %.80q (1 to %d characters of a-z, 0-9, '-', '_' and '.')", ErrInvalid, name, maxPurpose)
	}
	return nil
}

// CredentialLimit is the maximum number of credentials of one purpose per subject.
type CredentialLimit struct {
	// Max is the number; 0 means no limit.
	Max int
	// Evict deletes the oldest credentials if there are too many. Otherwise the new credential is
	// rejected.
	Evict bool
	// Now is the current time. Credentials that have expired at Now do not count.
	Now time.Time
}

// Credentials issues, finds and revokes credentials for a scheme, each under the scheme's purpose.
// A malformed purpose is treated as a purpose without credentials; only CreateCredential returns an
// error for it.
type Credentials interface {
	// CredentialByDigest returns the credential of that purpose, expired or not, and its account
	// with the subject's current epoch in User.Epoch, in one round trip to the database. It returns
	// ErrNotFound if the credential or the account is absent, or if the credential has another
	// purpose.
	CredentialByDigest(ctx context.Context, purpose string, d Digest) (Credential, User, error)
	// CreateCredential inserts c and enforces the limit in one change. The limit counts the
	// subject's credentials with c's purpose and the subject's current epoch, except those that
	// have expired at l.Now. It returns the evicted credentials: the oldest by Created, then by ID.
	//
	// Errors, in order of precedence; none of them changes anything:
	//
	//   - ErrInvalid: c.Check rejects c.
	//   - ErrStale: the subject is absent or disabled, or its epoch is not c.Epoch.
	//   - ErrConflict: the digest exists, with any purpose, or the subject has a credential with
	//     that ID.
	//   - ErrLimit: the limit is reached and l.Evict is false.
	CreateCredential(ctx context.Context, c Credential, l CredentialLimit) (evicted []Credential, err error)
	// TouchCredential records a use of the credential at the given time. If LastUsed <= before, and
	// the credential has not expired at the time of the use, it sets LastUsed to used and Expires
	// to expires, and returns true. Expires never moves back or beyond Max. If expires is zero,
	// Expires stays unchanged. Of several concurrent calls, one writes.
	//
	// A call with before > used corrects a time that was recorded while a clock was ahead. It
	// changes the credential only if used < LastUsed <= before. In this case Expires can move back,
	// except if its old or new value is zero.
	TouchCredential(ctx context.Context, purpose string, d Digest, used, expires, before time.Time) (bool, error)
	// DeleteCredential deletes the subject's credential with that purpose and ID. It returns
	// ErrNotFound if there is none or it was already deleted.
	DeleteCredential(ctx context.Context, purpose, subject, id string) error
}

// CredentialList lists and revokes the credentials of a subject, for users and administrators. A
// store can leave it out if you do not need lists.
type CredentialList interface {
	// ListCredentials returns up to limit credentials of the subject that have the purpose and the
	// subject's current epoch, including expired ones: the last created first, then by ID.
	ListCredentials(ctx context.Context, purpose, subject string, limit int) ([]Credential, error)
	// DeleteCredentialsOf deletes the subject's credentials of that purpose, except the credential
	// with the ID in keep. If keep is "", it deletes all of them. It returns the number deleted.
	DeleteCredentialsOf(ctx context.Context, purpose, subject, keep string) (int, error)
	// CredentialPurposes returns the purposes for which ListCredentials has entries, sorted.
	CredentialPurposes(ctx context.Context, subject string) ([]string, error)
	// DeleteAllCredentialsOf deletes the subject's credentials of every purpose. It returns the
	// number deleted.
	DeleteAllCredentialsOf(ctx context.Context, subject string) (int, error)
}

// CredentialCount is an optional interface of a store with a [CredentialList]. With it, a login
// counts the subject's credentials and lists them only if there are too many.
type CredentialCount interface {
	// CountCredentials counts the credentials that ListCredentials returns without a limit.
	CountCredentials(ctx context.Context, purpose, subject string) (int, error)
}
