package recovery

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// errInvalid is the answer to every token that is not good.
var errInvalid = authn.FieldError("token", "This link is not valid any more. Ask for another one.")

// Why a token is not good, for the log.
var (
	errShape   = errors.New("not of a token's shape")
	errPurpose = errors.New("a token for something else")
	errExpired = errors.New("expired")
	errAddress = errors.New("the account's address is another by now")
)

// Reset returns the endpoint that sets a password: POST of {"token", "password"}, as JSON
// or as a form, answered with 204. Every credential of the account ends, of every scheme;
// the user logs in with the new password. A password that the policy refuses is a 400 for
// the field "password", and the token stays good. A token that is unknown, was used, was
// replaced by later ones, has expired, or was made before a login, a new password or
// another e-mail address is one 400 for the field "token"; the reason goes to the log.
// Mount it outside the chain.
func (r *Recovery) Reset() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		v, err := login.Read(w, req, login.Field{Name: "token", Trim: true}, login.Password)
		var subject string
		if err == nil {
			subject, err = r.reset(audit.Context(req), v[0], v[1])
		}
		if err != nil {
			authn.Respond(w, req, authn.Undecided(err))
			return
		}
		// The link proved that the caller reads the account's mail.
		for _, c := range r.passwords.Vouch(req, subject) {
			http.SetCookie(w, c)
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	})
}

// ResetPassword is what Reset does, but for the login limits, which know the caller after Reset
// (password.Checker.Vouch). Of many at once that use one token, one succeeds.
func (r *Recovery) ResetPassword(ctx context.Context, token, password string) error {
	_, err := r.reset(ctx, token, password)
	return err
}

// reset returns the ID of the account.
func (r *Recovery) reset(ctx context.Context, token, password string) (subject string, err error) {
	t, u, err := r.check(ctx, token)
	if err != nil {
		return "", err
	}
	hash, err := r.passwords.NewOwnerHash(ctx, u, password) // the token is the proof
	if err != nil {
		return "", err
	}
	err = r.store.InTx(ctx, func(ctx context.Context) error {
		// While the password was hashed, a login may have deleted the token. A login that comes
		// later waits for this transaction, and gets no credential: the epoch has moved.
		if err := r.store.ConsumeOneTimeToken(ctx, t); err != nil {
			return err
		}
		if err := r.store.ChangePassword(ctx, u.ID, t.Epoch, hash); err != nil {
			return err
		}
		now, err := r.store.UserByID(ctx, u.ID)
		if err != nil {
			return err
		}
		if boundTo(token, now.Email) != t.Bound {
			return errInvalid.WithCause(errAddress)
		}
		return nil
	})
	if errors.Is(err, storage.ErrStale) || errors.Is(err, storage.ErrNotFound) {
		return "", errInvalid.WithCause(err)
	}
	if err != nil {
		return "", err
	}
	r.notify(ctx, audit.PasswordChanged, u.ID)
	return u.ID, nil
}

// check returns a token that is good now.
func (r *Recovery) check(ctx context.Context, token string) (storage.OneTimeToken, storage.User, error) {
	if !format.Valid(token) {
		return storage.OneTimeToken{}, storage.User{}, errInvalid.WithCause(errShape)
	}
	t, u, err := r.store.OneTimeTokenByDigest(ctx, storage.DigestOf(token))
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return t, u, err
	case !slices.Contains(purposes[:], t.Purpose):
		err = errPurpose
	case over(t, r.opts.Clock()):
		err = errExpired
	case !u.Active:
		err = credential.ErrDisabled
	case u.Epoch != t.Epoch:
		err = credential.ErrEpoch
	case boundTo(token, u.Email) != t.Bound:
		err = errAddress
	}
	if err != nil {
		return t, u, errInvalid.WithCause(err)
	}
	return t, u, nil
}
