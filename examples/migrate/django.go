// Package migrate shows how an API moves from Django REST Framework to Vestibule on Django's own
// database: both read the table auth_user, and tokens of authtoken and Knox stay valid.
package migrate

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

// #region users

// Users maps Django's accounts.
var Users = gormstore.UserTable{
	Table: "auth_user", ID: "id", IDType: "integer", Name: "username", Email: "email",
	Password: "password", Active: "is_active", Roles: "CASE WHEN is_staff THEN 'admin' ELSE '' END",
}

// AsTyped accepts names as Django stores them: compared byte for byte, in any case and script.
func AsTyped(name string) (string, error) {
	if storage.CheckID("user name", name) != nil {
		return "", errName
	}
	return name, nil
}

//lint:ignore ST1005 a sentence for the user
var errName = errors.New("Enter a valid username.")

// Passwords checks passwords as Django does, and changes no hash, so that Django can go on.
func Passwords(db *gormstore.Store, limits *password.Options) (*password.Checker, error) {
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	opts := password.Options{Canonical: AsTyped, Rehash: password.RehashNever, Verbatim: true}
	if limits != nil {
		opts.Limiter, opts.Proxies, opts.InsecureNoLimiter = limits.Limiter, limits.Proxies, limits.InsecureNoLimiter
	}
	return password.New(db, hasher, &opts)
}

// #endregion users

// #region open

// Open opens Django's database. What Vestibule revokes (log out everywhere, a new password, a
// disabled account) is revoked in Django's tables in the same transaction.
func Open(url string) (db *gormstore.Store, err error) {
	db, err = byurl.Open(url, &gormstore.Options{Users: &Users, Canonical: AsTyped, Ended: func(ctx context.Context, e storage.Ending) error {
		if err := db.DeleteStaticTokenOf(ctx, e.Subject); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		return endInDjango(ctx, db, e.Subject, endings...)
	}})
	return db, err
}

const (
	endToken = "DELETE FROM authtoken_token WHERE user_id = ?"
	endKnox  = "DELETE FROM knox_authtoken WHERE user_id = ?"
)

// endings revoke what Django issued to an account. Remove those of apps that you do not use.
var endings = []string{
	endToken,
	endKnox,
	`INSERT INTO token_blacklist_blacklistedtoken (blacklisted_at, token_id) SELECT CURRENT_TIMESTAMP, id
		FROM token_blacklist_outstandingtoken WHERE user_id = ? ON CONFLICT DO NOTHING`,
	"UPDATE oauth2_provider_accesstoken SET expires = CURRENT_TIMESTAMP WHERE user_id = ? AND expires > CURRENT_TIMESTAMP",
	"UPDATE oauth2_provider_refreshtoken SET revoked = CURRENT_TIMESTAMP WHERE user_id = ? AND revoked IS NULL",
	"UPDATE oauth2_provider_grant SET expires = CURRENT_TIMESTAMP WHERE user_id = ? AND expires > CURRENT_TIMESTAMP",
}

func endInDjango(ctx context.Context, db *gormstore.Store, subject string, queries ...string) error {
	id, err := strconv.ParseInt(subject, 10, 64)
	if err != nil {
		return nil // not an account of Django
	}
	for _, query := range queries {
		if err := db.DB(ctx).Exec(query, id).Error; err != nil {
			return err
		}
	}
	return nil
}

// issuedSince reports whether Django issued a credential after Vestibule last revoked those of the
// account. The epoch of a subject is 0, or the time of that revocation in microseconds. After all
// accounts were logged out (storage.LogoutAll), it can be up to 72 minutes later, and so long Django's
// new credentials are rejected.
func issuedSince(epoch int64, created time.Time) bool {
	return epoch == 0 || created.UnixMicro() > epoch
}

// #endregion open
