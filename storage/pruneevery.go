package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

// PruningOptions configure [PruneEvery]. A nil *PruningOptions means all defaults.
type PruningOptions struct {
	// Logger receives one message when pruning fails and one when it works again. Nil means
	// slog.Default().
	Logger *slog.Logger
	// Done is called after each round with the result of PruneAll, for example to count the deleted
	// records. It is called by one goroutine. Nil means no call.
	Done func([]Pruned)
}

// pruneRetry is how soon PruneEvery tries again after a failure, if the interval is longer.
const pruneRetry = time.Minute

// PruneEvery calls [PruneAll] again and again until ctx ends, and returns the error of ctx. Start
// it as a goroutine in a server, unless another job prunes the stores; a minute is a good interval.
// Every replica can run it: stores over PostgreSQL share the work, and no caller waits for another
// one.
//
// The first round begins within the first interval. Each later round begins 0.5 to 1.5 intervals
// after the previous one, so that replicas do not prune at the same moment. If a store fails,
// PruneEvery logs it and tries again after the interval, or after a minute if that is sooner.
//
// It returns an error immediately, and prunes nothing, if the argument every is not above 0 or no
// store implements [Pruner].
func PruneEvery(ctx context.Context, every time.Duration, opts *PruningOptions, stores ...any) error {
	if every <= 0 {
		return fmt.Errorf("storage: PruneEvery: interval %v out of range (above 0)", every)
	}
	if !anyPruner(stores) {
		return errors.New("storage: PruneEvery: no store implements storage.Pruner")
	}
	var o PruningOptions
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	failing := false
	for wait := rand.N(every); ; {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		list, err := PruneAll(ctx, time.Now(), stores...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait = every/2 + rand.N(every)
		switch {
		case err != nil:
			wait = min(wait, pruneRetry)
			if !failing {
				o.Logger.LogAttrs(ctx, slog.LevelError, "pruning failed", slog.Any("error", err))
			}
		case failing:
			o.Logger.LogAttrs(ctx, slog.LevelInfo, "pruning works again")
		}
		failing = err != nil
		if o.Done != nil {
			o.Done(list)
		}
	}
}

func anyPruner(stores []any) bool {
	for _, s := range stores {
		if _, ok := s.(Pruner); ok {
			return true
		}
	}
	return false
}
