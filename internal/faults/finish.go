//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

// finish checks what can only be checked at the end, with a replica that has every defect, and
// makes sure that the checks find all of them.
func (h *harness) finish(ctx context.Context) (err error) {
	r := h.result
	if r.broken, err = h.w.db.consistency(ctx); err != nil {
		return err
	}
	for _, x := range h.w.replicas {
		if err := h.settled(x); err != nil {
			r.invalid("I9", "%v", err)
		}
		r.commits += x.db.Commits()
	}
	if r.storm, err = h.stormOn(ctx, h.w.replicas[0], true); err != nil {
		return err
	}
	if !r.storm.holds() {
		r.invalid("I12", "p99 of token checks %v during logins, %v without", r.storm.busy, r.storm.idle)
	}
	if err := h.planted(ctx); err != nil {
		return err
	}
	leaks, files, err := h.secrets.search(h.w.dir, "*.log", plantedLog)
	if err != nil {
		return err
	}
	if files < len(h.w.all)-1 {
		return fmt.Errorf("only %d files of output were found", files)
	}
	r.files = files
	for _, text := range leaks {
		r.invalid("I8", "%s", text)
	}
	if r.bypasses, r.longest, err = blind(h.w.dir); err != nil {
		return err
	}
	return nil
}

const (
	plantedName = "P"
	plantedLog  = "replica-" + plantedName + ".log"
)

// planted adds the replica with defects, and counts what finds them.
func (h *harness) planted(ctx context.Context) error {
	if _, err := h.next(); err != nil { // only the calls of this part are checked here
		return err
	}
	p, err := h.w.plant()
	if err != nil {
		return err
	}
	if err := h.measure(p); err != nil {
		return err
	}
	for i := 0; i < plantedTries && (h.result.found["I1"] <= 0 || h.result.found["I7"] <= 0); i++ {
		if err := h.tryDefects(ctx, p); err != nil {
			return err
		}
	}
	if s, err := h.stormOn(ctx, p, false); err != nil {
		return err
	} else if !s.holds() {
		h.result.found["I12"]++
	}
	if h.grown(p) != nil {
		h.result.found["I9"]++
	}
	found, _, err := h.secrets.search(h.w.dir, plantedLog, "")
	h.result.found["I8"] += len(found)
	h.result.found["I10"] = len(rules) // or consistency has failed
	return errors.Join(err, ctx.Err())
}

// tryDefects lets clients use the planted replica, and counts the violations that they saw.
func (h *harness) tryDefects(ctx context.Context, p *replica) error {
	working, cancel := context.WithTimeout(ctx, plantedTime)
	defer cancel()
	var all sync.WaitGroup
	for id := range 4 {
		all.Go(func() { h.worker(clients+id, &pool{}).tryPlanted(working, p) })
	}
	all.Go(func() { h.worker(clients+4, &pool{}).tryLimits(working, []*replica{p, h.w.replicas[0]}) })
	all.Wait()
	list, err := h.next()
	if err != nil {
		return err
	}
	rest := split(list, p.name)
	sound := history.Check(rest, h.bounds())
	h.result.add(sound, rest)
	for _, v := range history.Check(list, h.bounds()).Violations {
		h.result.found[v.Invariant]++
	}
	for _, v := range sound.Violations {
		h.result.found[v.Invariant]--
	}
	return nil
}

// settled waits until a replica uses about as much as before the faults. What stays is a leak.
func (h *harness) settled(r *replica) error {
	return wait(30*time.Second, func() error { return h.grown(r) })
}

// grown returns an error if a replica has more open files or goroutines than before the faults.
func (h *harness) grown(r *replica) error {
	was, is := h.before[r.name], r.p.resources()
	n, err := r.goroutines()
	if err != nil {
		return err
	}
	if limit := was.Files + was.Files/10 + 10; is.Files > limit {
		return fmt.Errorf("replica %s has %d open files, before the faults %d", r.name, is.Files, was.Files)
	}
	if limit := was.Goroutines + was.Goroutines/10 + 10; n > limit {
		return fmt.Errorf("replica %s has %d goroutines, before the faults %d", r.name, n, was.Goroutines)
	}
	return nil
}
