package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pruner deletes expired records. Inserts also delete expired records of short-lived kinds (see
// [SweepEvery]). For the other kinds run [PruneEvery] with an interval of a minute in a server, or call
// Prune or [PruneAll] from a job, at least once a day.
type Pruner interface {
	// Prune deletes up to limit records that expired before the given time, and returns the number
	// deleted. A number below limit means that none are left. It deletes expired credentials and
	// sessions, entries of the blocklist, replay records and signing keys. It also deletes families
	// past their absolute expiry, sealed responses whose grace period has passed, and unused
	// clients that registered themselves ([UnusedClientAge]).
	//
	// Prune never removes a record that has not expired by the store's own clock, even if the given
	// time is later. So a caller with a fast clock cannot remove a blocklist entry that still
	// revokes a token. Inserts that remove expired records follow the same rule.
	Prune(ctx context.Context, now time.Time, limit int) (int, error)
}

// Pruned is the result of [PruneAll] for one store.
type Pruned struct {
	// Store is the type of the store, such as "*gormstore.Store".
	Store string
	// Pruner is false if the store does not implement [Pruner]. Such a store is skipped.
	Pruner bool
	// Records is the number of deleted records.
	Records int
	// Err is the error that stopped pruning; nil if no expired records are left.
	Err error
}

// PruneMargin is the time for which PruneAll and the command "vestibule prune" keep a record after
// its expiry. It allows for differences between the clocks of the processes that check tokens.
const PruneMargin = 5 * time.Minute

// pruneStep is the limit of each call that PruneAll makes.
const pruneStep = 1000

// PruneAll prunes all stores that implement [Pruner], such as the database, a session store in
// Redis, or the table of your own scheme. It deletes records that expired PruneMargin or more
// before the given time. If a store fails, it continues with the next; it stops when ctx ends. The
// result has one entry per store, in order, so that you notice a store that cannot be pruned. The
// error joins the errors of the stores.
func PruneAll(ctx context.Context, now time.Time, stores ...any) ([]Pruned, error) {
	list := make([]Pruned, len(stores))
	errs := make([]error, len(stores))
	for i, s := range stores {
		p := &list[i]
		p.Store = fmt.Sprintf("%T", s)
		var pruner Pruner
		if pruner, p.Pruner = s.(Pruner); !p.Pruner {
			continue
		}
		for p.Err == nil {
			if p.Err = ctx.Err(); p.Err != nil {
				break
			}
			var n int
			n, p.Err = pruner.Prune(ctx, now.Add(-PruneMargin), pruneStep)
			p.Records += n
			if n < pruneStep {
				break
			}
		}
		if p.Err != nil {
			errs[i] = fmt.Errorf("storage: PruneAll: %s: %w", p.Store, p.Err)
		}
	}
	return list, errors.Join(errs...)
}
