//go:build faults

package main

import (
	"context"
	"os"

	"github.com/vestibule-auth/vestibule/storage/bus"
)

// plant breaks the courier if the environment says so: the cache goes on to answer, and applies no
// change of another process. A run of internal/faults must find that.
func plant(c bus.Courier) bus.Courier {
	if os.Getenv("VESTIBULE_PLANT") != "deaf" {
		return c
	}
	return deaf{c}
}

type deaf struct{ bus.Courier }

func (d deaf) Follow(ctx context.Context, f bus.Follower) error {
	return d.Courier.Follow(ctx, deafFollower{f})
}

type deafFollower struct{ bus.Follower }

func (deafFollower) Apply(...bus.Change) {}
