package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// recorder stores the events of the commands in vestibule_audit, in the transaction of the change.
// The operator's access to the database is all that is known of the actor, so events have none.
type recorder struct {
	db     *gormstore.Store
	events *audit.Notifier
}

func newRecorder(db *gormstore.Store) (*recorder, error) {
	events, err := audit.New(func(context.Context, audit.Event) {}, &audit.Options{Required: true})
	if err != nil {
		return nil, err
	}
	return &recorder{db, events}, nil
}

// reason is the reason of every event of this program. A detail follows it if the kind says less
// than the command.
const reason = "command line"

// note adds an event to the change that ctx belongs to.
func (r *recorder) note(ctx context.Context, e audit.Event, detail string) {
	e.Scheme, e.Reason = "cli", reason
	if detail != "" {
		e.Reason += ": " + detail
	}
	r.events.Notify(ctx, e)
}

// change makes a change and stores the events that it notes: both or neither.
func (r *recorder) change(ctx context.Context, change func(ctx context.Context) error) error {
	return r.events.Change(ctx, r.db, change)
}

// recorded makes a change and stores its event: both or neither. A change that removes too many rows
// for one transaction follows its event instead, so it leaves its trace even if it stops halfway.
func recorded(ctx context.Context, db *gormstore.Store, e audit.Event, detail string, change func(ctx context.Context) error) error {
	r, err := newRecorder(db)
	if err != nil {
		return err
	}
	err = r.change(ctx, func(ctx context.Context) error {
		if err := change(ctx); err != nil {
			return err
		}
		r.note(ctx, e, detail)
		return nil
	})
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return err
	}
	err = r.change(ctx, func(ctx context.Context) error {
		r.note(ctx, e, detail)
		return nil
	})
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	return change(ctx)
}

// recordedLogouts is a store whose logouts store their events. LogoutAll stores one event per batch,
// with the number of accounts, because a row for each of a million accounts helps nobody.
type recordedLogouts struct {
	*gormstore.Store
	record *recorder
}

// BumpEpoch implements storage.Subjects.
func (s recordedLogouts) BumpEpoch(ctx context.Context, subject string) (epoch int64, err error) {
	err = s.record.change(ctx, func(ctx context.Context) error {
		if epoch, err = s.Store.BumpEpoch(ctx, subject); err != nil {
			return err
		}
		s.record.note(ctx, audit.Event{Kind: audit.LogoutEverywhere, Subject: subject, Epoch: epoch}, "")
		return nil
	})
	return epoch, err
}

// BumpEpochs implements storage.EpochBatches.
func (s recordedLogouts) BumpEpochs(ctx context.Context, after string, before time.Time, limit int) (last string, n int, err error) {
	err = s.record.change(ctx, func(ctx context.Context) error {
		if last, n, err = s.Store.BumpEpochs(ctx, after, before, limit); err != nil || n == 0 {
			return err
		}
		s.record.note(ctx, audit.Event{Kind: audit.LogoutEverywhere, Count: n}, "all accounts")
		return nil
	})
	if err != nil {
		return "", 0, err
	}
	return last, n, nil
}

var (
	_ storage.Subjects     = recordedLogouts{}
	_ storage.EpochBatches = recordedLogouts{}
)
