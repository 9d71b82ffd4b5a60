package storage

import (
	"context"
	"errors"
)

// LoggedOut is the result of [LogoutEverywhere].
type LoggedOut struct {
	// Epoch is the subject's new epoch.
	Epoch int64
	// StaticTokens, Credentials and Sessions are the numbers of deleted records.
	StaticTokens, Credentials, Sessions int
	// Uncleaned joins the errors of failed deletions. The records that remain are invalid anyway,
	// so it is enough to log the error.
	Uncleaned error
}

// LogoutEverywhere revokes every credential of a subject, of every scheme, with one write:
// BumpEpoch. (The password itself, and so HTTP Basic, keeps working.) The revocation is complete
// when it returns. An error is the error of BumpEpoch, and nothing was revoked.
//
// Then it deletes the subject's static token, credentials and sessions from s and from the
// additional stores. The argument others lists the additional stores, such as a store for sessions.
// A failed deletion is reported in Uncleaned only. A login at the same moment may have to be
// repeated.
//
// Refresh families, codes, access tokens and one-time tokens have the old epoch, too; Prune deletes
// them later. To reach records in other tables, use an [EndedFunc].
//
// SetPassword, ChangePassword, SetActive and DeleteUser of [Accounts] revoke in their own change.
// You do not need to call LogoutEverywhere after them.
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

// clean deletes what one store keeps about the subject.
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
