package storage

import (
	"context"
	"errors"
)

// LoggedOut is what LogoutEverywhere did.
type LoggedOut struct {
	// Epoch is the subject's new one.
	Epoch int64
	// StaticTokens, DeviceTokens and Sessions are how many records were removed.
	StaticTokens, DeviceTokens, Sessions int
	// Uncleaned is why some were not. They are worth nothing all the same: it is for the
	// log.
	Uncleaned error
}

// LogoutEverywhere ends every credential of a subject, of every scheme but Basic's password
// itself, with one write: BumpEpoch (RULES T1). It holds when that has returned; the error is BumpEpoch's, and
// nothing has ended then.
//
// After that it removes the subject's static token, device tokens and sessions, as far
// as s keeps them. It does not wait for the removal to succeed, and somebody who logs in
// at that very moment may have to do so again. Refresh families, codes, access tokens
// and one-time tokens are of the old epoch too; Prune removes them in their time.
//
// Accounts' SetPassword, ChangePassword, SetActive and DeleteUser do the same within
// their own change: no call of LogoutEverywhere is needed with them.
func LogoutEverywhere(ctx context.Context, s Subjects, subject string) (out LoggedOut, err error) {
	if out.Epoch, err = s.BumpEpoch(ctx, subject); err != nil {
		return LoggedOut{}, err
	}
	var errs [3]error
	if tokens, ok := s.(StaticTokens); ok {
		switch err := tokens.DeleteStaticTokenOf(ctx, subject); {
		case err == nil:
			out.StaticTokens = 1
		case !errors.Is(err, ErrNotFound):
			errs[0] = err
		}
	}
	if tokens, ok := s.(DeviceTokens); ok {
		out.DeviceTokens, errs[1] = tokens.DeleteDeviceTokensOf(ctx, subject, "")
	}
	if sessions, ok := s.(SessionList); ok {
		out.Sessions, errs[2] = sessions.EndSessionsOf(ctx, subject, "")
	}
	out.Uncleaned = errors.Join(errs[:]...)
	return out, nil
}
