package credential

import (
	"context"
	"slices"
	"time"
)

// NoLimit, as the number of credentials that a subject may have, is any number.
const NoLimit = -1

const (
	// surplusBacklog is how many more than the limit one call ends, surplusTimeout how long it
	// works at most.
	surplusBacklog = 100
	surplusTimeout = 5 * time.Second
)

// EndSurplus ends what a subject has beyond most sessions, logins or tokens. Call it after a login:
// it never refuses one, and what it cannot end is left for the next call.
//
// count returns how many the subject has, at least: list is called only if they are more than most. nil
// stands for a store that cannot count; then each call lists.
//
// list returns up to limit of the subject's, those first that are to be kept. kept reports those
// that are neither counted nor ended, such as the one that was just made, for which there is room.
// end ends one. A client that leaves does not stop EndSurplus, which takes at most 5 seconds. The
// error is that of count or list, or the first of end, and is for a log. With NoLimit nothing is done.
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
