package totp

import (
	"context"
	"errors"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// purposePending is the purpose of logins between their two steps. An account has at most one such
// login.
const purposePending = "second factor"

// pendingFormat is the format of the handles of logins between their two steps.
var pendingFormat = credential.MustFormat("vpl")

// errOver means that the user must begin again with the password.
func errOver(cause error) *authn.Error {
	return authn.AuthenticationFailed("This login has expired. Enter your password again.").WithCause(cause)
}

// Begin begins the second step of a login whose password was just verified. It returns a handle for
// [TOTP.Finish]. The handle "" means that the account has no second factor, so the login is
// complete. The handle authenticates nothing. It is valid for Options.Wait and for one login. It
// becomes invalid when the password of the account changes, and when a later login of the account
// begins. Send the handle in the body of a form, never in a URL.
//
// Begin returns [storage.ErrStale] if the account changed. Other errors come from the store. After
// an error, the login MUST NOT continue.
func (t *TOTP) Begin(ctx context.Context, login authn.Login) (handle string, err error) {
	on, err := t.Enabled(ctx, login.Subject)
	if err != nil || !on {
		return "", err
	}
	text, err := pendingFormat.New(t.opts.Rand)
	if err != nil {
		return "", err
	}
	now := t.now()
	return text, t.store.CreateOneTimeToken(ctx, storage.OneTimeToken{
		Digest: storage.DigestOf(text), Purpose: purposePending, Subject: login.Subject, Epoch: login.Epoch, Created: now, Expires: now.Add(t.opts.Wait),
	})
}

// Finish completes a login with a code from the app, or with a recovery code. It returns the login
// with both methods in AMR; pass it to session.Scheme.Start. The handle and the code cannot be used
// again. If several calls with the same handle or the same code run at the same time, only one of
// them succeeds.
//
// The error is an [*authn.Error] with status 400 for a wrong or used code, 401 if the user must
// begin again with the password, and 429 for too many wrong codes. Other errors come from the
// store; the handle and the code can then be used again.
func (t *TOTP) Finish(ctx context.Context, handle, code string) (authn.Login, error) {
	if !pendingFormat.Valid(handle) {
		return authn.Login{}, errOver(errors.New("not in the format of a handle"))
	}
	p, u, err := t.store.OneTimeTokenByDigest(ctx, storage.DigestOf(handle))
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && p.Purpose != purposePending:
		return authn.Login{}, errOver(storage.ErrNotFound)
	case err != nil:
		return authn.Login{}, err
	case !u.Active || u.Epoch != p.Epoch || p.Expired(t.now()) || storage.Ahead(t.now(), p.Created):
		return authn.Login{}, errOver(errors.New("expired, or the account changed"))
	}
	var gone error
	err = t.limited(ctx, p.Subject, p.Epoch, func() error {
		gone = nil
		return t.store.InTx(ctx, func(ctx context.Context) error {
			if gone = t.store.ConsumeOneTimeToken(ctx, p); gone != nil {
				return gone
			}
			return t.verify(ctx, p.Subject, p.Epoch, code)
		})
	})
	if e := (*authn.Error)(nil); errors.As(err, &e) { // too many
		t.notify(ctx, audit.LoginThrottled, "", p)
		return authn.Login{}, err
	}
	switch {
	case errors.Is(gone, storage.ErrNotFound), errors.Is(err, storage.ErrStale):
		return authn.Login{}, errOver(err)
	case errors.Is(err, errWrong), errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrNotFound):
		t.notify(ctx, audit.LoginFailed, "second_factor", p)
		return authn.Login{}, errCode().WithCause(err)
	case err != nil:
		return authn.Login{}, err
	}
	t.notify(ctx, audit.LoginSucceeded, "", p)
	return authn.Login{Subject: u.ID, Name: u.Name, Roles: u.Roles, Epoch: p.Epoch, ACR: t.opts.ACR, AMR: []string{methodPassword, methodCode}}, nil
}

func (t *TOTP) notify(ctx context.Context, kind audit.Kind, reason string, p storage.OneTimeToken) {
	t.opts.Audit.Notify(ctx, audit.Event{Kind: kind, Reason: reason, Scheme: kindApp, Subject: p.Subject, Epoch: p.Epoch})
}
