package storage

import (
	"context"
	"fmt"
	"time"
)

// EpochBatches is a store that can revoke the credentials of all accounts; see [LogoutAll]. It is
// optional. Packages memory, gormstore and cached implement it; a store of package cached returns
// an error if its underlying store does not.
type EpochBatches interface {
	// BumpEpochs is BumpEpoch for up to limit accounts, in one transaction. It processes the
	// accounts with ID > after, in the store's order of IDs. An empty after starts at the
	// beginning. Disabled accounts are included.
	//
	// If before is not zero, it leaves out accounts with an epoch at that time or later. An epoch
	// that is more than a minute in the future comes from a wrong clock, and is ignored.
	//
	// It returns the last ID and the number of accounts. A number below limit means that there are
	// no more. An error changes nothing.
	BumpEpochs(ctx context.Context, after string, before time.Time, limit int) (last string, n int, err error)
}

// logoutBatch is how many accounts LogoutAll changes in one transaction. A larger one would make
// logins wait for its locks.
const logoutBatch = 200

// EpochMargin is how far in the future an epoch can be because clocks differ.
const EpochMargin = time.Minute

// LogoutAll revokes every credential of all accounts, of every scheme, for example after a database
// was stolen or restored from a backup. The passwords, and so HTTP Basic, keep working. The records
// stay until Prune deletes them.
//
// If the given time is zero, LogoutAll logs out all accounts. Otherwise it leaves out accounts that
// were logged out everywhere at that time or later. So after an error, call LogoutAll again with
// the time of the first call; it then continues.
//
// It returns the number n of accounts that were changed, even with an error. It returns ErrInvalid
// if the given time is in the future. Any other error is an error of the store. Even then, the n
// accounts are logged out.
func LogoutAll(ctx context.Context, s EpochBatches, before time.Time) (n int, err error) {
	if before.After(time.Now()) {
		return 0, fmt.Errorf("%w: LogoutAll: before is in the future", ErrInvalid)
	}
	for after := ""; ; {
		last, some, err := s.BumpEpochs(ctx, after, before, logoutBatch)
		n += some
		if err != nil || some < logoutBatch {
			return n, err
		}
		after = last
	}
}
