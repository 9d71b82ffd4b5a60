package migrate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// Exchange answers a refresh token of djangorestframework-simplejwt with a pair of Vestibule, once.
// Mount it until the last of Django's refresh tokens has expired.
func Exchange(db *gormstore.Store, old jose.KeySource, tokens *jwt.Scheme) http.Handler {
	rejected := &authn.Error{Status: http.StatusUnauthorized, Code: "token_not_valid", Detail: "Token is invalid"}
	return login.Endpoints{Challenge: tokens.Challenge}.JSON(http.MethodPost, func(w http.ResponseWriter, r *http.Request) (any, error) {
		v, err := login.Read(w, r, login.Field{Name: "refresh", MaxBytes: 16 << 10})
		if err != nil {
			return nil, err
		}
		// #region simplejwt
		t, err := jose.Verify(r.Context(), v[0], old, "JWT")
		if errors.Is(err, jose.ErrInvalid) {
			return nil, rejected
		} else if err != nil {
			return nil, err
		}
		kind, _ := t.Claims.Text("token_type")
		id, _ := t.Claims.Text("jti")
		expires, err := t.Claims.Time("exp")
		subject := userID(t.Claims)
		if now := time.Now(); err != nil || kind != "refresh" || id == "" || subject == "" || !now.Before(expires) {
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
		var pair jwt.Pair
		err = db.InTx(r.Context(), func(ctx context.Context) error { // a fault leaves the old token usable
			err := db.ConsumeJTI(ctx, storage.BlockKeyOf("simplejwt refresh", "django", id), time.Now(), expires)
			if err == nil {
				// Epoch 0: Vestibule never revoked the account's credentials. A later epoch must not
				// be used, because nothing shows that this token is newer than the revocation.
				pair, err = tokens.Issue(ctx, subject, 0, nil)
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
