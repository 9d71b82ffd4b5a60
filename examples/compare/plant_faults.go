//go:build faults

package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/storage/bus"
)

// planted reports whether the environment asks for a defect, in a list with commas. A run of
// internal/faults must find each.
func planted(defect string) bool {
	return slices.Contains(strings.Split(os.Getenv("VESTIBULE_PLANT"), ","), defect)
}

// plant breaks the courier with the defect "deaf": the cache goes on to answer, and applies no
// change of another process.
func plant(c bus.Courier) bus.Courier {
	if !planted("deaf") {
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

// plantCounters makes a server with the defect "alone" count by itself what all servers share.
func plantCounters(c *config) {
	if planted("alone") {
		c.Counters = throttle.NewMemory(nil)
	}
}

// plantHandler opens the control socket, and breaks the handler with these defects:
//
//   - "queue": requests wait for each other, so a token check waits for password hashes.
//   - "leak": each request leaves a goroutine behind.
//   - "log": each request logs its credential.
func plantHandler(h http.Handler) (http.Handler, error) {
	if err := control(); err != nil {
		return nil, err
	}
	var one sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if planted("queue") {
			one.Lock()
			defer one.Unlock()
		}
		if planted("leak") {
			go func() { select {} }()
		}
		if planted("log") {
			slog.Info("request received", slog.String("authorization", r.Header.Get("Authorization")))
		}
		h.ServeHTTP(w, r)
	}), nil
}
