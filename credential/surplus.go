package credential

import (
	"context"
	"slices"
	"time"
)

// NoLimit, as a number of credentials of a subject, means no limit.
const NoLimit = -1

const (
	// surplusBacklog is the largest number of credentials above the limit that one call ends.
	// surplusTimeout is the largest duration of a call.
	surplusBacklog = 100
	surplusTimeout = 5 * time.Second
)

// EndSurplus revokes credentials of a subject, such as sessions or tokens, until their number is at
// most the argument most. Call it after a login. An error does not undo the login, and the next
// call revokes the credentials that remained. If most is [NoLimit], it does nothing.
//
// The functions:
//   - count returns the number of the subject's credentials, or a larger number. The function list
//     is called only if the count is above most. If count is nil, because the store cannot count,
//     list is always called.
//   - list returns up to limit credentials of the subject. The credentials to keep come first.
//   - kept reports whether a credential is exempt, such as the new one: it is not counted and not
//     revoked. EndSurplus leaves room for one such credential.
//   - end revokes one credential.
//
// EndSurplus takes at most 5 seconds, and continues if ctx is canceled. It returns the error of
// count or list, or the first error of end. Log the error.
func EndSurplus[T any](ctx context.Context, most int, count func(context.Context) (int, error), list func(ctx context.Context, limit int) ([]T, error), kept func(T) bool, end func(context.Context, T) error) error {
	if most == NoLimit {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), surplusTimeout)
	defer cancel()
	if count != nil {
		if n, err := count(ctx); err != nil || n <= most {
			return err
		}
	}
	all, err := list(ctx, most+surplusBacklog)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, kept)
	for _, v := range all[min(max(most-1, 0), len(all)):] {
		if err := end(ctx, v); err != nil {
			return err
		}
	}
	return nil
}
