package storage

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

// EpochBatches is a store that can revoke the credentials of all accounts; see [LogoutAll]. It is
// optional. Packages memory, gormstore and cached implement it; a store of package cached returns
// an error if its underlying store does not.
type EpochBatches interface {
	// BumpEpochs is BumpEpoch for up to limit accounts, in one transaction. It processes the
	// accounts with ID > after, in the store's order of IDs. If after is "", it starts at the
	// beginning. Disabled accounts are included.
	//
	// If after is "", the transaction first raises the store's least epoch above the epoch of every
	// account. The least epoch is the epoch of an account that has no epoch of its own, and no
	// epoch is below it. So an older credential does not fit an account that is created later, even
	// with the ID of an earlier account. The new epochs come from [ScatterEpoch].
	//
	// If before is not zero, it raises the least epoch only if it was last raised before that time,
	// and leaves out accounts whose epoch is above the least epoch. An epoch above [LatestEpoch],
	// from a wrong clock, does not count.
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

// epochSpread is the range of ScatterEpoch: 2^32 microseconds, or 72 minutes.
const epochSpread = 1 << 32

// ScatterEpoch returns a random epoch above least, by at most 72 minutes in microseconds. LogoutAll
// uses it to scatter the epochs of the accounts. The reason is that a token contains the epoch of its
// account: without the scattering, the owner of one account would know the epochs of all others, and
// could forge their tokens with a leaked key. Stores that implement [EpochBatches] call it.
func ScatterEpoch(least int64) int64 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // cannot fail; see crypto/rand
	return least + 1 + int64(binary.BigEndian.Uint32(b[:]))
}

// LatestEpoch returns the greatest epoch that an account can have in a store with that least epoch.
// It assumes that no clock is wrong by more than [EpochMargin].
func LatestEpoch(least int64, now time.Time) int64 {
	return max(least, now.UnixMicro()) + 2*epochSpread + EpochMargin.Microseconds()
}

// LogoutAll revokes every credential of all accounts, of every scheme, for example after a database
// was stolen or restored from a backup. The passwords, and so HTTP Basic, keep working. The records
// stay until Prune deletes them.
//
// A credential from before the call is also rejected for accounts that are created later, even if a
// restored database gives the ID of an earlier account again. The new epoch of one account says
// nothing about the new epoch of another.
//
// If the given time is zero, LogoutAll logs out all accounts. Otherwise, if LogoutAll was called at that time
// or later, it leaves out accounts that have been logged out everywhere since that call. So after an
// error, call it again with the time of the first call, and it continues. If there was no such call,
// it logs out all accounts.
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
