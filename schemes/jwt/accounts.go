package jwt

import (
	"context"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// Accounts finds the accounts of another issuer's users. The type *link.Directory of package
// authn/link implements it.
type Accounts interface {
	// AccountOf returns the account of the issuer's user, with the current epoch of the account.
	// If VerifierOptions.SubjectClaim names another claim than "sub", the issuer is followed by "#" and
	// the claim, such as "https://login.example#oid".
	// The function claims decodes another claim of the verified token. [storage.ErrNotFound],
	// [storage.ErrConflict], [storage.ErrStale] and [storage.ErrLimit] mean that the user has no
	// account. If AccountOf returns an [*authn.Error], the client gets this error. Any other error
	// is answered with 503.
	AccountOf(ctx context.Context, issuer, subject string, claims func(name string, v any) error) (storage.User, error)
	// Permissions returns the store of the accounts' permissions, or nil if there is none.
	Permissions() storage.Permissions
	storage.AccountSource
}

// checkAccounts returns an error if Accounts is combined with an option that contradicts it.
func (o *VerifierOptions) checkAccounts() error {
	if o.Accounts != nil && (o.OwnIssuer || o.User != nil || len(o.Roles) > 0) {
		return mistake("Accounts cannot be combined with OwnIssuer, User and Roles (the account and its roles are those of this application)")
	}
	return nil
}

var errNotSince = errors.New("issued before the account was logged out everywhere, or at the same time")

// local replaces the user of another issuer by an account of this application.
func (v *Verifier) local(ctx context.Context, k *known) error {
	a := k.access
	u, err := v.opts.Accounts.AccountOf(ctx, v.linkIssuer(a.Issuer), a.Subject, a.Claims.Decode)
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrStale), errors.Is(err, storage.ErrLimit):
		return v.invalid.WithCause(err)
	case err != nil:
		return err
	case !u.Active:
		return v.invalid.WithCause(credential.ErrDisabled)
	case !since(a, u.Epoch, v.opts.Leeway):
		return v.invalid.WithCause(errNotSince)
	}
	k.identity.Subject, k.identity.Issuer = u.ID, ""
	k.identity.SetStore(v.opts.Accounts.AccountStore())
	perms := v.opts.Accounts.Permissions()
	if k.identity.Delegated() {
		k.identity.User = u.WithScopedPermissions(perms)
	} else {
		k.identity.Roles, k.identity.User = u.Roles, u.WithPermissions(perms)
	}
	if v.opts.Blocklist == nil && v.opts.Tenants == nil {
		k.lease = u.Lease()
	}
	return nil
}

// linkIssuer returns the issuer under which a user is linked. The values of another claim than "sub"
// are not subjects: a user may choose a name that is another user's "sub". An issuer has no fragment
// (OpenID Connect Discovery, section 2), so nothing else has this name.
func (v *Verifier) linkIssuer(issuer string) string {
	if claim := v.subjectClaim(); claim != "sub" {
		return issuer + "#" + claim
	}
	return issuer
}

// since reports whether it is certain that a token was issued after the account got its epoch. The
// value of an epoch is never earlier than the time at which the epoch was set. The issuer's clock
// can be ahead by the leeway, and "iat" is rounded down to seconds.
func since(a *Access, epoch int64, leeway time.Duration) bool {
	return epoch == 0 || a.Issued.After(time.UnixMicro(epoch).Add(leeway))
}

// issuedAt rejects a token without "iat" if the verifier must compare "iat" with the account's
// epoch.
func (v *Verifier) issuedAt(a *Access) error {
	if v.opts.Accounts != nil && a.Issued.IsZero() {
		return claimError("iat", errors.New("missing, so it is unknown whether the account was logged out since"))
	}
	return nil
}
