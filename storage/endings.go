package storage

import (
	"context"
	"fmt"
)

// Ending describes a change that revoked every credential of a subject by changing its epoch.
type Ending struct {
	Subject string
	// Epoch is the subject's new epoch. Credentials with another epoch are rejected, even if their
	// records still exist.
	Epoch int64
	// Deleted reports that the account was deleted (DeleteUser, DeleteSubject), so no data about it
	// should be kept. It is false after a logout everywhere, after a new password, and after the
	// account was disabled.
	Deleted bool
}

// EndedFunc is a hook that revokes or deletes an application's own records about a subject, in
// tables or stores that the store does not know. Stores call it for logout everywhere
// ([Subjects].BumpEpoch), for each new password, and when an account is disabled or deleted.
//
// The hook runs in the transaction of the change, which ctx carries. Calls of the store with ctx,
// and statements on the database handle that belongs to ctx, are committed together with the
// change. If the hook returns an error, the change is rolled back and the caller receives the
// wrapped error. A store may repeat the transaction after a conflict, and then calls the hook
// again.
//
// The hook MUST NOT wait for other servers, because the transaction holds locks. To notify other
// servers, write a message in the transaction and send it later.
type EndedFunc func(ctx context.Context, e Ending) error

// Call calls f unless it is nil. Stores use it instead of calling f directly. A panic in f becomes
// an error, which rolls back the change. The error does not quote the panic value, because that
// could contain a secret.
func (f EndedFunc) Call(ctx context.Context, e Ending) (err error) {
	if f == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("storage: Ended hook: panic of type %T", v)
		}
	}()
	if err := f(ctx, e); err != nil {
		return fmt.Errorf("storage: Ended hook: %w", err)
	}
	return nil
}
