//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
	"github.com/vestibule-auth/vestibule/internal/faults/proxy"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// fault is one kind of failure. begin starts it and end undoes it; for lasts in between.
type fault struct {
	name  string
	lasts time.Duration
	begin func() error
	end   func() error
	loses string        // the kind of credentials that are lost, as documented
	rest  time.Duration // until the next one
}

func nothing() error { return nil }

// faults returns every fault, for a choice of replicas by rng.
func (w *world) faults(rng *rand.Rand) []fault {
	one := func() *replica { return w.replicas[rng.IntN(len(w.replicas))] }
	killed := w.replicas[1+rng.IntN(len(w.replicas)-1)] // never A: its memory is watched
	stopped, linked, slow := one(), one(), one()
	list := []fault{
		{name: "key rotation", begin: w.rotate, end: nothing},
		{name: "SIGTERM replica", begin: func() error { killed.p.signal(syscall.SIGTERM); return nil }, lasts: time.Second,
			end: func() error { return w.replace(killed) }},
		{name: "kill -9 replica", begin: func() error { killed.p.kill(); return nil }, lasts: time.Second, end: killed.restart},
		{name: "kill -9 PostgreSQL", begin: func() error { w.db.crash(); return nil }, lasts: time.Second, end: w.db.start, rest: 3 * time.Second},
		{name: "cut before COMMIT", begin: func() error { w.commits(false); return nil }, lasts: 3 * time.Second, end: w.pass},
		{name: "cut after COMMIT", begin: func() error { w.commits(true); return nil }, lasts: 3 * time.Second, end: w.pass},
		{name: "stop replica", begin: func() error { stopped.stop(); return nil }, lasts: 3 * time.Second, end: func() error { stopped.cont(); return nil }},
		{name: "stop PostgreSQL", begin: func() error { send(syscall.SIGSTOP, w.db.p.tree()...); return nil }, lasts: 5 * time.Second,
			end: func() error { send(syscall.SIGCONT, w.db.p.tree()...); return nil }, rest: 3 * time.Second},
		{name: "FLUSHALL", begin: func() error { return w.redis.do("FLUSHALL") }, end: nothing, loses: "session"},
		{name: "kill -9 Redis", begin: func() error { w.redis.p.kill(); return nil }, lasts: 2 * time.Second, end: w.redis.start},
		{name: "stop Redis", begin: func() error { w.redis.p.signal(syscall.SIGSTOP); return nil }, lasts: 3 * time.Second,
			end: func() error { w.redis.p.signal(syscall.SIGCONT); return nil }},
	}
	for name, p := range map[string]*proxy.Proxy{"database": linked.db, "LISTEN": linked.listen, "Redis": linked.redis} {
		list = append(list,
			fault{name: "half-open " + name, begin: func() error { p.Set(proxy.Hold, proxy.Hold); return nil }, lasts: 3 * time.Second, end: w.pass},
			fault{name: "cut " + name, begin: func() error { p.Refuse(true); p.Cut(); return nil }, lasts: 2 * time.Second, end: w.pass})
	}
	list = append(list, w.pressure(rng)...)
	list = append(list,
		fault{name: "drop answers to LISTEN", begin: func() error { linked.listen.Set(proxy.Pass, proxy.Drop); return nil }, lasts: 3 * time.Second,
			end: func() error { linked.listen.Cut(); return w.pass() }},
		fault{name: "slow LISTEN", begin: func() error { linked.listen.Delay(400 * time.Millisecond); return nil }, lasts: 3 * time.Second, end: w.pass},
		fault{name: "slow database", begin: func() error { slow.db.Delay(150 * time.Millisecond); return nil }, lasts: 3 * time.Second, end: w.pass},
		fault{name: "cut after 4 KiB", begin: func() error { slow.db.CutAfter(4 << 10); return nil }, lasts: time.Second, end: w.pass})
	if w.courier == gormstore.CourierOutbox { // nothing LISTENs
		list = slices.DeleteFunc(list, func(f fault) bool { return strings.Contains(f.name, "LISTEN") })
	}
	return list
}

// pass ends what the proxies do. What they hold is delivered.
func (w *world) pass() error {
	for _, r := range w.replicas {
		for _, p := range r.proxies() {
			p.Reset()
		}
	}
	return nil
}

// replace starts a replica again that was told to end, once it has.
func (w *world) replace(r *replica) error {
	if err := wait(30*time.Second, func() error {
		if !r.p.gone() {
			return errors.New("it still runs 30 s after SIGTERM")
		}
		return nil
	}); err != nil {
		return err
	}
	return r.restart()
}

// commits cuts the next commits of every replica.
func (w *world) commits(after bool) {
	for _, r := range w.replicas {
		r.db.CutCommits(8, after)
	}
}

// inflict runs one fault and records it.
func (w *world) inflict(ctx context.Context, rec *history.Recorder, f fault) error {
	e := history.Event{T0: rec.Now(), Op: history.Fault, Note: f.name}
	if err := f.begin(); err != nil { // the administrator's own call can fail on a busy machine
		fmt.Printf("left out: %s: %v\n", f.name, err)
		if err := f.end(); err != nil {
			return fmt.Errorf("end of %s: %w", f.name, err)
		}
		return nil
	}
	sleep(ctx, f.lasts)
	if err := f.end(); err != nil {
		return fmt.Errorf("end of %s: %w", f.name, err)
	}
	e.T1 = rec.Now()
	rec.Add(e)
	if f.loses != "" {
		rec.Add(history.Event{T0: e.T0, T1: e.T1, Op: history.Lost, Kind: f.loses, Res: history.Unknown})
	}
	sleep(ctx, max(f.rest, 1500*time.Millisecond))
	return nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// order is the plan for CI, the most important faults first.
var order = []string{
	"key rotation", "kill -9 replica", "kill -9 PostgreSQL", "cut before COMMIT", "cut after COMMIT", "half-open LISTEN", "stop PostgreSQL",
	"FLUSHALL", "kill -9 Redis", "disk full", "clock +120 s", "clock -120 s", "tables locked", "Redis full", "half-open database", "stop replica",
	"connections ended", "no connections left", "Redis read-only", "drop answers to LISTEN", "cut LISTEN", "slow LISTEN",
	"half-open Redis", "stop Redis", "cut database", "cut Redis", "slow database", "cut after 4 KiB", "SIGTERM replica",
}

// core is how many faults of the order a run must inflict to prove anything.
const core = 14
