package recovery

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// errInvalid is the response to every invalid token. See invalid.
var errInvalid = authn.FieldError("token", "This link is not valid any more. Ask for another one.")

// tokenError is the reason why a token is not valid. It distinguishes an invalid token from an
// invalid password, which has the same status.
type tokenError struct{ error }

func (e tokenError) Unwrap() error { return e.error }

func invalid(reason error) error { return errInvalid.WithCause(tokenError{reason}) }

// The reasons why a token is invalid, for the log.
var (
	errShape   = errors.New("not in the format of a token")
	errPurpose = errors.New("token has another purpose")
	errExpired = errors.New("token expired")
	errAddress = errors.New("e-mail address changed since")
	errLocked  = errors.New("the account has no usable password")
)

// Reset returns the endpoint that sets a new password. It accepts a POST of "token" and "password"
// as JSON or as a form. Mount it outside the authentication chain.
//
// On success it responds with 204 and revokes every credential of the account, of all schemes; the
// user then logs in with the new password. If the password policy rejects the password, the
// response is 400 for the field "password", and the token stays valid.
//
// The response is 400 for the field "token" if the token is unknown, used, expired or replaced by
// later ones. It is the same if the token is older than the last login, password change or change
// of the e-mail address. The log has the reason.
func (r *Recovery) Reset() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		v, err := login.Read(w, req, login.Field{Name: "token", Trim: true}, login.Password)
		if err == nil {
			err = r.resetFor(w, req, v[0], v[1])
		}
		if err != nil {
			authn.Respond(w, req, authn.Undecided(err))
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	})
}

// resetFor sets the password and makes the caller known to the login limits, because the link proved
// that the caller can read the account's mail.
func (r *Recovery) resetFor(w http.ResponseWriter, req *http.Request, token, password string) error {
	subject, err := r.resetBy(req, token, password)
	if err != nil {
		return err
	}
	for _, c := range r.passwords.Vouch(req, subject) {
		http.SetCookie(w, c)
	}
	return nil
}

// resetBy calls reset and counts made-up tokens for the limits of refused credentials of the
// middleware around the endpoint. While the caller's address is paused, made-up tokens get 429 and a
// valid token still works: its owner has no other one, and a stranger can have the same address. A
// made-up token costs one query.
func (r *Recovery) resetBy(req *http.Request, token, password string) (subject string, err error) {
	own, paused := authn.AdmitOwn(req, token)
	subject, err = r.reset(audit.Context(req), token, password)
	if bad := (tokenError{}); errors.As(err, &bad) {
		if paused == nil {
			paused = own.Unknown()
		}
		if paused != nil {
			return "", paused
		}
	}
	return subject, err
}

// ResetPassword does the work of [Recovery.Reset] without a request. Unlike Reset, it does not make
// the caller known to the login limits (see password.Checker.Vouch). If several calls use one token
// concurrently, only one succeeds.
func (r *Recovery) ResetPassword(ctx context.Context, token, password string) error {
	_, err := r.reset(ctx, token, password)
	return err
}

// reset returns the ID of the account whose password it set.
func (r *Recovery) reset(ctx context.Context, token, password string) (subject string, err error) {
	t, u, err := r.check(ctx, token)
	if err != nil {
		return "", err
	}
	hash, err := r.passwords.NewOwnerHash(ctx, u, password) // the token proves control of the account
	if err != nil {
		return "", err
	}
	err = r.opts.Audit.Change(ctx, r.store, func(ctx context.Context) error {
		err := r.store.InTx(ctx, func(ctx context.Context) error { return r.replace(ctx, t, u.ID, hash) })
		if err == nil {
			r.notify(ctx, audit.PasswordChanged, u.ID)
		}
		return err
	})
	if errors.Is(err, storage.ErrStale) || errors.Is(err, storage.ErrNotFound) {
		return "", invalid(err)
	}
	if err != nil {
		return "", err
	}
	return u.ID, nil
}

// replace consumes the token and sets the password, in a transaction.
func (r *Recovery) replace(ctx context.Context, t storage.OneTimeToken, subject string, hash storage.PasswordHash) error {
	// While the password was hashed, a login may have deleted the token. A later login waits
	// for this transaction and fails, because the epoch has changed.
	if err := r.store.ConsumeOneTimeToken(ctx, t); err != nil {
		return err
	}
	if err := r.store.ChangePassword(ctx, subject, t.Epoch, hash); err != nil {
		return err
	}
	now, err := r.store.UserByID(ctx, subject)
	if err != nil {
		return err
	}
	if boundTo(now.Email) != t.Bound {
		return invalid(errAddress)
	}
	return nil
}

// check returns the token and its account if the token is valid now.
func (r *Recovery) check(ctx context.Context, token string) (storage.OneTimeToken, storage.User, error) {
	if !format.Valid(token) {
		return storage.OneTimeToken{}, storage.User{}, invalid(errShape)
	}
	t, u, err := r.store.OneTimeTokenByDigest(ctx, storage.DigestOf(token))
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return t, u, err
	case !slices.Contains(purposes[:], t.Purpose):
		err = errPurpose
	case isExpired(t, r.opts.Clock()):
		err = errExpired
	case !u.Active:
		err = credential.ErrDisabled
	case u.Epoch != t.Epoch:
		err = credential.ErrEpoch
	case !password.Usable(u.Password): // it was locked after the link was sent
		err = errLocked
	case boundTo(u.Email) != t.Bound:
		err = errAddress
	}
	if err != nil {
		return t, u, invalid(err)
	}
	return t, u, nil
}
