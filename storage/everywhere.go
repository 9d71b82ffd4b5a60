package storage

import (
	"context"
	"errors"
)

// LoggedOut is what LogoutEverywhere did.
type LoggedOut struct {
	// Epoch is the subject's new one.
	Epoch int64
	// StaticTokens, Credentials and Sessions are how many records were deleted.
	StaticTokens, Credentials, Sessions int
	// Uncleaned is why some were not. They are worth nothing all the same: it is for the
	// log.
	Uncleaned error
}

// LogoutEverywhere ends every credential of a subject, of every scheme except Basic's password
// itself, with one write: BumpEpoch. They have ended when it returns. The error is BumpEpoch's,
// and nothing has ended then.
//
// After that it deletes the subject's static token, credentials and sessions from s and from
// others, as far as each keeps them: others are stores beside s, such as one for sessions. It
// does not wait for the deletion to succeed, and a login at that very moment may have to be
// repeated. Refresh families, codes, access tokens and one-time tokens are of the old epoch too;
// Prune deletes them in time. Records of other tables are reached by the store's EndedFunc.
//
// SetPassword, ChangePassword, SetActive and DeleteUser of Accounts do the same within their own
// change: do not call LogoutEverywhere with them.
func LogoutEverywhere(ctx context.Context, s Subjects, subject string, others ...any) (out LoggedOut, err error) {
	if out.Epoch, err = s.BumpEpoch(ctx, subject); err != nil {
		return LoggedOut{}, err
	}
	var errs []error
	for _, store := range append([]any{s}, others...) {
		errs = append(errs, out.clean(ctx, store, subject)...)
	}
	out.Uncleaned = errors.Join(errs...)
	return out, nil
}

// clean deletes what one store keeps of the subject.
func (out *LoggedOut) clean(ctx context.Context, store any, subject string) (errs []error) {
	if tokens, ok := store.(StaticTokens); ok {
		switch err := tokens.DeleteStaticTokenOf(ctx, subject); {
		case err == nil:
			out.StaticTokens++
		case !errors.Is(err, ErrNotFound):
			errs = append(errs, err)
		}
	}
	if list, ok := store.(CredentialList); ok {
		n, err := list.DeleteAllCredentialsOf(ctx, subject)
		out.Credentials, errs = out.Credentials+n, append(errs, err)
	}
	if list, ok := store.(SessionList); ok {
		n, err := list.DeleteSessionsOf(ctx, subject, "")
		out.Sessions, errs = out.Sessions+n, append(errs, err)
	}
	return errs
}
