package storage

import (
	"context"
	"fmt"
)

// Ending describes a change that ended every credential of a subject: its epoch moved.
type Ending struct {
	Subject string
	// Epoch is the subject's new epoch. Credentials that carry another one are no longer
	// accepted, whether their records are deleted or not.
	Epoch int64
	// Deleted reports that the account was deleted or forgotten, so that nothing about it
	// should be kept. Otherwise it logged out everywhere, was disabled, or got a new password.
	Deleted bool
}

// EndedFunc is a hook for records that somebody else keeps about subjects, in tables or stores
// that the store does not know. Stores call it for log-out-everywhere (Subjects.BumpEpoch), for
// each new password, and when an account is disabled, deleted or forgotten.
//
// It runs in the transaction of the change, which ctx carries: calls of the store with ctx, and
// statements on the database handle that belongs to ctx, are committed with the change or not at
// all. An error undoes the change and is returned to the caller, wrapped. A store may run the
// transaction again after a conflict, and then calls the hook again. The hook must not wait for
// other servers, since it holds locks; to reach them, write a message in the transaction.
type EndedFunc func(ctx context.Context, e Ending) error

// Call runs f, if there is one. Stores use it: a panic in f becomes an error that undoes the
// change. The error does not quote the panic, which could contain a secret.
func (f EndedFunc) Call(ctx context.Context, e Ending) (err error) {
	if f == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("storage: panic of type %T in the Ended hook", v)
		}
	}()
	if err := f(ctx, e); err != nil {
		return fmt.Errorf("storage: Ended hook: %w", err)
	}
	return nil
}
