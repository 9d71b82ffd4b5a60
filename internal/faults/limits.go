//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

// deviceLimit is the limit of device authorization requests from one address, which replicas count
// together in Redis. While Redis fails, each counts its part by itself.
var deviceLimit = history.Limit{Most: 5, Refill: 12 * time.Second, Share: 1, Replicas: 3, Lost: []string{"FLUSHALL", "kill -9 Redis"}}

const (
	burst   = 15              // attempts from one address, on all replicas
	between = 4 * time.Second // bursts
)

// tryLimits begins device grants from one new address after another, more often than the limit
// allows.
func (w *worker) tryLimits(ctx context.Context, replicas []*replica) {
	for ctx.Err() == nil {
		w.from = fmt.Sprintf("10.%d.%d.1", w.rng.IntN(256), w.rng.IntN(256)) // a network of its own, or nearly
		for i := range burst {
			if !w.pace(ctx) {
				return
			}
			w.attempt(replicas[i%len(replicas)])
		}
		sleep(ctx, between)
	}
}

// attempt begins one device grant.
func (c *client) attempt(r *replica) {
	a := c.call(r, "POST", "/oauth2/device_authorization", "", formType, form("client_id", "demo-public", "scope", "profile"))
	var reply struct {
		DeviceCode string `json:"device_code"`
	}
	if a.res == history.Yes {
		_ = json.Unmarshal(a.body, &reply)
		c.seen(reply.DeviceCode)
	}
	e := c.event(r, history.Attempt, a)
	e.Sub = c.from
	c.rec.Add(e)
}
