package migrate

import (
	"context"
	"crypto/md5"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// #region old

// SimpleJWT has the settings SIMPLE_JWT of the old server.
type SimpleJWT struct {
	Keys             jose.KeySource // SIGNING_KEY, or VERIFYING_KEY
	Issuer, Audience string         // ISSUER and AUDIENCE; "" if they are not set
	// InsecureAnyPassword accepts tokens that do not say for which password they were issued. Set
	// it if CHECK_REVOKE_TOKEN is off: then a new password in Django revokes no token.
	InsecureAnyPassword bool
}

// ours reports whether Django issued a token with these claims for this API. The same key may sign
// tokens for others, so a claim that is not expected is not ignored.
func (o SimpleJWT) ours(c jose.Claims) bool {
	r, err := c.Registered()
	switch {
	case err != nil, r.Issuer != o.Issuer:
		return false
	case o.Audience == "":
		return len(r.Audience) == 0
	}
	return slices.Contains(r.Audience, o.Audience)
}

// current reports whether the password is the one for which the token was issued. With
// CHECK_REVOKE_TOKEN, the claim is a digest of the stored hash.
func (o SimpleJWT) current(c jose.Claims, stored storage.PasswordHash) bool {
	const claim = "hash_password" // REVOKE_TOKEN_CLAIM
	if _, there := c.Get(claim); !there {
		return o.InsecureAnyPassword
	}
	have, _ := c.Text(claim)
	want := fmt.Sprintf("%X", md5.Sum([]byte(stored)))
	return subtle.ConstantTimeCompare([]byte(have), []byte(want)) == 1
}

// #endregion old

// Exchange answers a refresh token of djangorestframework-simplejwt with a pair of Vestibule, once.
// Mount it until the last of Django's refresh tokens has expired.
func Exchange(db *gormstore.Store, old SimpleJWT, tokens *jwt.Scheme) http.Handler {
	rejected := &authn.Error{Status: http.StatusUnauthorized, Code: "token_not_valid", Detail: "Token is invalid"}
	return login.Endpoints{Challenge: tokens.Challenge}.JSON(http.MethodPost, func(w http.ResponseWriter, r *http.Request) (any, error) {
		v, err := login.Read(w, r, login.Field{Name: "refresh", MaxBytes: 16 << 10})
		if err != nil {
			return nil, err
		}
		// #region simplejwt
		t, err := jose.Verify(r.Context(), v[0], old.Keys, "JWT")
		if errors.Is(err, jose.ErrInvalid) {
			return nil, rejected
		} else if err != nil {
			return nil, err
		}
		kind, _ := t.Claims.Text("token_type")
		id, _ := t.Claims.Text("jti")
		expires, err := t.Claims.Time("exp")
		subject := userID(t.Claims)
		if now := time.Now(); err != nil || kind != "refresh" || id == "" || subject == "" || !now.Before(expires) || !old.ours(t.Claims) {
			return nil, rejected
		}
		var listed int64 // as simplejwt's BLACKLIST_AFTER_ROTATION and logout do
		q := db.DB(r.Context()).Raw("SELECT count(*) FROM token_blacklist_blacklistedtoken b JOIN token_blacklist_outstandingtoken o ON o.id = b.token_id WHERE o.jti = ?", id)
		if err := q.Scan(&listed).Error; err != nil {
			return nil, err
		}
		if listed > 0 {
			return nil, rejected
		}
		user, err := db.UserByID(r.Context(), subject)
		if errors.Is(err, storage.ErrNotFound) || err == nil && !old.current(t.Claims, user.Password) {
			return nil, rejected
		} else if err != nil {
			return nil, err
		}
		var pair jwt.Pair
		err = db.InTx(r.Context(), func(ctx context.Context) error { // a fault leaves the old token usable
			err := db.ConsumeJTI(ctx, storage.BlockKeyOf("simplejwt refresh", "django", id), time.Now(), expires)
			if err == nil {
				// Epoch 0: Vestibule never revoked the account's credentials. A later epoch must not
				// be used, because nothing shows that this token is newer than the revocation.
				pair, err = tokens.Issue(ctx, user.ID, 0, &jwt.Grant{AuthTime: authn.UnknownAuthTime})
			}
			return err
		})
		if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrStale) {
			return nil, rejected // used before; or revoked, disabled or deleted
		}
		// #endregion simplejwt
		return map[string]string{"access": pair.Access, "refresh": pair.Refresh}, err
	})
}

// userID reads the claim user_id: a number up to release 5.5.0, later a text.
func userID(c jose.Claims) string {
	if text, ok := c.Text("user_id"); ok {
		return text
	}
	var n int64
	if c.Decode("user_id", &n) != nil || n < 1 {
		return ""
	}
	return fmt.Sprint(n)
}
