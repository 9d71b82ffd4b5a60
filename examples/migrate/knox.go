package migrate

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/django"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// Knox accepts tokens that django-rest-knox issued, from its table, beside the device tokens of
// Vestibule. Put it into the chain after schemes/knox.
type Knox struct {
	DB   *gormstore.Store
	Hash django.KnoxHash // django.NewKnoxHash(django.Knox5, "")
}

// Name is the scheme of its identities.
func (Knox) Name() string { return "djangoknox" }

// Headers are the headers that it reads.
func (Knox) Headers() []string { return []string{"Authorization"} }

// Formats says that it accepts what is left under the keyword.
func (Knox) Formats() []authn.CredentialFormat {
	return []authn.CredentialFormat{{Keyword: "Token", Format: authn.AnyFormat}}
}

// Challenge is that of Knox.
func (Knox) Challenge(*http.Request, error) string { return "Token" }

// Authenticate costs two queries.
func (k Knox) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Token", "token")
	if err != nil {
		return authn.Identity{}, err
	}
	rejected := authn.AuthenticationFailed("Invalid token.")
	if len(text) < 40 || len(text) > 128 {
		return authn.Identity{}, rejected
	}
	// #region knox
	var rows []struct {
		Digest  string
		UserID  int64
		Created time.Time
		Expiry  *time.Time
	}
	q := k.DB.DB(r.Context()).Raw("SELECT digest, user_id, created, expiry FROM knox_authtoken WHERE token_key = ?", k.Hash.TokenKey(text))
	if err := q.Scan(&rows).Error; err != nil {
		return authn.Identity{}, err // 503
	}
	for _, row := range rows {
		if !k.Hash.Matches(text, "", row.Digest) {
			continue
		}
		if row.Expiry != nil && !time.Now().Before(*row.Expiry) {
			return authn.Identity{}, rejected
		}
		user, err := k.DB.UserByID(r.Context(), strconv.FormatInt(row.UserID, 10))
		switch {
		case errors.Is(err, storage.ErrNotFound):
			return authn.Identity{}, rejected
		case err != nil:
			return authn.Identity{}, err
		case !user.Active, !issuedSince(user.Epoch, row.Created): // disabled, or revoked in Vestibule
			return authn.Identity{}, rejected
		}
		id := authn.Identity{Subject: user.ID, Scheme: k.Name(), Roles: user.Roles, User: user.WithPermissions(k.DB)}
		if row.Expiry != nil {
			id.Expires = *row.Expiry
		}
		return id, nil
	}
	// #endregion knox
	return authn.Identity{}, rejected
}

// #region devices

// Devices is the store for knox.New. If all device tokens of an account are revoked, or all but one
// (LogoutAll, LogoutOthers, RevokeAll), it also deletes the account's tokens of Django.
type Devices struct{ *gormstore.Store }

// DeleteCredentialsOf implements storage.CredentialList.
func (s Devices) DeleteCredentialsOf(ctx context.Context, purpose, subject, keep string) (n int, err error) {
	err = s.InTx(ctx, func(ctx context.Context) (err error) {
		if n, err = s.Store.DeleteCredentialsOf(ctx, purpose, subject, keep); err != nil {
			return err
		}
		return endInDjango(ctx, s.Store, subject, endKnox)
	})
	return n, err
}

// #endregion devices
