package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// Log is the interface that the store of a scheme must implement for Options.Required.
type Log interface {
	storage.Transactor
	storage.AuditLog
}

// logOf returns the log of a store.
func logOf(store any) (Log, error) {
	l, ok := store.(Log)
	if k, partly := store.(interface{ KeepsAudit() bool }); ok && partly {
		ok = k.KeepsAudit()
	}
	if !ok {
		return nil, fmt.Errorf("audit: Options.Required: the store %T has no audit log (storage.AuditLog and storage.Transactor)", store)
	}
	return l, nil
}

// CheckStore returns an error if Options.Required is set and the store cannot keep events. Schemes call
// it when they are created.
func (n *Notifier) CheckStore(store any) error {
	if n == nil || !n.opts.Required {
		return nil
	}
	_, err := logOf(store)
	return err
}

// collector holds the events of a change of a store.
type collector struct {
	store  any
	events []Event
}

// of reports whether the change is one of store.
func (c *collector) of(store any) bool {
	return c != nil && store != nil && reflect.ValueOf(store).Comparable() && c.store == store
}

type collectorKey struct{ *Notifier }

// Change runs a change of credentials, and reports its events. Call it for each change whose event
// must not be lost, with the store that the change is written to. The function change makes the
// change and calls [Notifier.Notify], both with the context that it receives.
//
// If Options.Required is not set, or the Notifier is nil, Change only calls the function change.
// With Options.Required, change runs in a transaction of the store that also stores the events. If
// change returns nil, both are committed, and then the function of New is called with the events.
// Otherwise neither is. If Change returns an error that the function change did not return, nothing
// was stored. A credential that was to be revoked is still valid, and the caller answers 503.
//
// Calls can be nested. For the same store, the inner change is part of the outer one. For another
// store it is a change of its own, which is committed first.
//
// If the database aborts the transaction, change may run several times; see storage.Retrier. change
// may also run in a transaction of the caller. Then the events are part of that transaction, and the
// function is called before the commit. change MUST return nil for a rejection that changed
// something, such as a reused refresh token whose family is revoked: an error would undo the
// revocation.
func (n *Notifier) Change(ctx context.Context, store any, change func(ctx context.Context) error) error {
	if n == nil || !n.opts.Required || authn.Explained(ctx) {
		return change(ctx)
	}
	if outer, _ := ctx.Value(collectorKey{n}).(*collector); outer.of(store) {
		return change(ctx)
	}
	log, err := logOf(store)
	if err != nil {
		return err
	}
	held := collector{store: store}
	inTx := log.InTx
	if again, ok := store.(storage.Retrier); ok {
		inTx = again.InRetriedTx
	}
	err = inTx(ctx, func(ctx context.Context) error {
		held.events = nil
		if err := change(context.WithValue(ctx, collectorKey{n}, &held)); err != nil {
			return err
		}
		return storeEvents(ctx, log, held.events)
	})
	if err != nil {
		return err
	}
	for _, e := range held.events {
		n.deliver(ctx, e)
	}
	return nil
}

// errStored hides what an error of the log means for the change: it is a failure, whatever it is.
type errStored struct{ cause error }

func (e *errStored) Error() string { return "audit: events not stored: " + e.cause.Error() }

// storeEvents stores the events of a change.
func storeEvents(ctx context.Context, log Log, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	records := make([]storage.AuditRecord, len(events))
	for i, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			return &errStored{err}
		}
		records[i] = storage.AuditRecord{ID: e.ID, Time: e.Time, Kind: string(e.Kind), Subject: e.Subject, Client: e.Client, Event: text}
	}
	err := log.AppendAudit(ctx, records...)
	if err == nil {
		return nil
	}
	for _, definite := range [...]error{storage.ErrNotFound, storage.ErrConflict, storage.ErrStale, storage.ErrLimit, storage.ErrInvalid} {
		if errors.Is(err, definite) { // a scheme would take it for the answer to its change
			return &errStored{err}
		}
	}
	return fmt.Errorf("audit: events not stored: %w", err)
}
