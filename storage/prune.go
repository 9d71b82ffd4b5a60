package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pruner deletes what has expired. Inserts delete expired records of short-lived kinds too
// (see SweepEvery); for the others, call Prune now and then, for example once a day.
type Pruner interface {
	// Prune deletes up to limit records that ended before now: expired credentials and
	// sessions, entries of the blocklist, notes of uses, signing keys, whole families at their
	// absolute end, what was sealed for windows that have ended, and clients that registered
	// themselves and are not used (UnusedClientAge). It returns how many it
	// deleted; fewer than limit means that nothing is left.
	//
	// What has not ended by the store's own clock stays, whatever now is: a caller whose clock is
	// fast must not remove what others still count on, such as the entry of the blocklist that
	// ends a token. The same holds for the removal by inserts.
	Prune(ctx context.Context, now time.Time, limit int) (int, error)
}

// Pruned is what PruneAll did with one store.
type Pruned struct {
	// Store is the type of the store, such as "*gormstore.Store".
	Store string
	// Pruner is false for a store that does not implement Pruner. Nothing was done with it.
	Pruner bool
	// Records is how many records were deleted.
	Records int
	// Err is why the store stopped early; nil if nothing is left.
	Err error
}

// PruneMargin is how long a record has ended before PruneAll and the command "vestibule prune"
// delete it: the clocks of the processes that judge tokens differ.
const PruneMargin = 5 * time.Minute

// pruneStep is how many records PruneAll asks for at a time.
const pruneStep = 1000

// PruneAll prunes all stores that implement Pruner, such as the database, a session store in
// Redis, and the table of a scheme of your own: what ended PruneMargin before now. It continues after the failure of a store, and
// stops when ctx ends. The result has one entry per store, in order, so that a store which
// cannot be pruned is noticed. The error joins those of the stores.
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
