package storage_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// flaky is a store whose calls fail while broken is set.
type flaky struct {
	calls  []time.Time
	broken bool
}

func (f *flaky) Prune(context.Context, time.Time, int) (int, error) {
	f.calls = append(f.calls, time.Now())
	if f.broken {
		return 0, errBroken
	}
	return 7, nil
}

// Pruning goes on by itself, not at the same moments in every process, whatever fails in between,
// until its context ends.
func TestPruneEvery(t *testing.T) {
	firsts := map[time.Duration]bool{}
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			const every = time.Hour
			begin := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			store := &flaky{}
			var log bytes.Buffer
			records := 0
			ended := make(chan error)
			go func() {
				ended <- storage.PruneEvery(ctx, every, &storage.PruningOptions{
					Logger: slog.New(slog.NewTextHandler(&log, nil)),
					Done: func(list []storage.Pruned) {
						records += list[1].Records
						if n := len(store.calls); n == 4 || n == 8 { // broken in between
							store.broken = !store.broken
						}
					},
				}, "no store", store)
			}()
			time.Sleep(24 * every)
			synctest.Wait()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			n := len(store.calls)
			if records != 7*(n-4) || n < 18 {
				t.Errorf("%d records in %d rounds", records, n)
			}
			firsts[store.calls[0].Sub(begin)] = true
			last := begin.Add(-every / 2)
			for i, at := range store.calls {
				least, most := every/2, every*3/2
				if i >= 5 && i <= 8 { // after a failure
					least, most = 0, time.Minute
				}
				if d := at.Sub(last); d < least || d > most {
					t.Errorf("round %d after %v", i, d)
				}
				last = at
			}
			if text := log.String(); strings.Count(text, "pruning failed") != 1 || strings.Count(text, "pruning works again") != 1 {
				t.Error("log:", text)
			}
		})
	}
	if len(firsts) < 2 {
		t.Error("every process prunes at the same moment:", firsts)
	}
	for name, err := range map[string]error{
		"no interval": storage.PruneEvery(t.Context(), 0, nil, &flaky{}),
		"no pruner":   storage.PruneEvery(t.Context(), time.Minute, nil, "text"),
	} {
		if err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
