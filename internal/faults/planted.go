//go:build linux

package main

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

// plantedTime is how long the planted replica takes part.
const plantedTime = 6 * time.Second

// plantedTries is how often, on a machine that is so busy that too little happens.
const plantedTries = 5

// tryPlanted revokes credentials that the planted replica has in its cache, and uses them there
// later. Only uses go to that replica, so that the rest of the history is complete without it.
func (w *worker) tryPlanted(ctx context.Context, broken *replica) {
	for ctx.Err() == nil && w.pace(ctx) {
		u := w.w.users[len(w.w.users)-1-w.rng.IntN(len(w.w.users)/2)]
		c, ok := w.login(w.any(), "knox", u)
		if !ok {
			continue
		}
		for _, r := range []*replica{broken, broken, w.any()} {
			w.use(r, c)
		}
		if w.known(ctx, func() answer { return w.revoke(w.any(), c) }) {
			sleep(ctx, 2*bound)
			w.use(broken, c)
		}
	}
}

// split returns the events without those of the planted replica.
func split(list []history.Event, broken string) (rest []history.Event) {
	for _, e := range list {
		if e.Rep != broken {
			rest = append(rest, e)
		}
	}
	return rest
}
