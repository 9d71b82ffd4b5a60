// Package migrate shows how an API moves from Django REST Framework to Vestibule on Django's own
// database: both read the table auth_user, and tokens of authtoken and Knox stay valid.
package migrate

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
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

// #region authtoken

// ImportTokens copies the tokens of rest_framework.authtoken, as digests. It can run again: a
// subject that has a token already keeps it.
func ImportTokens(ctx context.Context, db *gormstore.Store, ring *keys.Ring) (imported int, err error) {
	var rows []struct{ Key, UserID string }
	q := db.DB(ctx).Raw("SELECT t.key, t.user_id FROM authtoken_token t JOIN auth_user u ON u.id = t.user_id WHERE u.is_active")
	if err := q.Scan(&rows).Error; err != nil {
		return 0, err
	}
	keyID, _ := ring.Newest(keys.StaticToken)
	for _, row := range rows {
		epoch, err := db.SubjectEpoch(ctx, row.UserID)
		if err != nil {
			return imported, err
		}
		t := storage.StaticToken{
			Digest: storage.DigestOf(row.Key), Subject: row.UserID, Salt: make([]byte, 32),
			KeyID: keyID, Epoch: epoch, Created: time.Now(),
		}
		if _, err := rand.Read(t.Salt); err != nil {
			return imported, err
		}
		switch err := db.PutStaticToken(ctx, t, storage.Digest{}); {
		case err == nil:
			imported++
		case !errors.Is(err, storage.ErrConflict): // it has a token already
			return imported, err
		}
	}
	return imported, nil
}

// #endregion authtoken
