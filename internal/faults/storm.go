//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

const (
	stormTime  = 2 * time.Second
	stormers   = 8 // clients that log in without a pause
	stormBound = 100 * time.Millisecond
)

// storm is how long token checks took, without logins and during many of them.
type storm struct{ idle, busy time.Duration } // p99

// holds is generous: a check that waits for eight hashes exceeds it, a busy machine should not.
func (s storm) holds() bool { return s.busy <= max(4*s.idle, stormBound) }

// stormTries is how often a replica is measured, because other programs use the machine too.
const stormTries = 5

// stormOn measures a replica until the bound holds, or with want false until it does not, at most
// stormTries times. The calls are not part of the history.
func (h *harness) stormOn(ctx context.Context, r *replica, want bool) (s storm, err error) {
	rec, err := history.NewRecorder("/dev/null")
	if err != nil {
		return s, err
	}
	defer rec.Close()
	client := func(id int) *worker {
		w := h.worker(id, &pool{})
		w.rec = rec
		return w
	}
	w := client(0)
	cred, ok := w.login(r, "knox", h.w.users[0])
	if !ok {
		return s, fmt.Errorf("replica %s does not let anybody log in", r.name)
	}
	for range stormTries {
		s.idle = w.checks(ctx, r, cred)
		logins, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		for id := range stormers {
			all.Go(func() {
				for w := client(1 + id); logins.Err() == nil; {
					w.login(r, "knox", h.w.users[w.rng.IntN(len(h.w.users))])
				}
			})
		}
		sleep(ctx, 200*time.Millisecond)
		s.busy = w.checks(ctx, r, cred)
		stop()
		all.Wait()
		if s.holds() == want || ctx.Err() != nil {
			break
		}
	}
	return s, ctx.Err()
}

// checks uses a credential for stormTime, and returns the 99th percentile of the durations.
func (w *worker) checks(ctx context.Context, r *replica, c *credential) time.Duration {
	var took []time.Duration
	for end := time.Now().Add(stormTime); time.Now().Before(end) && w.pace(ctx); {
		a := w.use(r, c)
		took = append(took, time.Duration(a.t1-a.t0))
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
