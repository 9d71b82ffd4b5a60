//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

const (
	bound     = bus.Bound
	recovered = 5 * time.Second
)

// both is the value of -courier for one run after the other.
const both = "both"

// options are the flags.
type options struct {
	courier string
	only    string // a fault
	page    string // a file
	program string
	soak    time.Duration
	budget  time.Duration
	every   time.Duration
	segment time.Duration
	steady  time.Duration
	seed    uint64
	keep    bool
}

func main() {
	var o options
	flag.StringVar(&o.courier, "courier", gormstore.CourierNotify, "courier of the replicas: notify, outbox, or both, one after the other")
	flag.DurationVar(&o.soak, "soak", 0, "how long to inflict random faults; 0: each fault of the list once")
	flag.DurationVar(&o.budget, "budget", 115*time.Second, "no fault of the list begins later than this after the first")
	flag.StringVar(&o.only, "only", "", "inflict only this fault, again and again until -budget")
	flag.DurationVar(&o.every, "every", 60*time.Second, "time between two faults of a soak")
	flag.DurationVar(&o.segment, "segment", 5*time.Minute, "how much of the history of a soak is checked at a time")
	flag.DurationVar(&o.steady, "steady", 5*time.Second, "time before the first fault")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the run (default: the time)")
	flag.StringVar(&o.page, "report", "", "write the result to this file, as a page of the documentation")
	flag.StringVar(&o.program, "program", "", "use this build of examples/compare (tag faults) instead of a new one")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder with the history and the logs")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// run makes one run, or one for each courier, and writes the page.
func run(o options) error {
	couriers := []string{o.courier}
	if o.courier == both {
		couriers = []string{gormstore.CourierNotify, gormstore.CourierOutbox}
		o.soak /= 2
	}
	// The whole run is bounded, whatever hangs.
	limit := time.Duration(len(couriers)) * (2*o.soak + 15*time.Minute)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	machine := newMachine()
	var results []*result
	for _, courier := range couriers {
		o.courier = courier
		r, err := oneRun(ctx, o)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	if o.page == "" {
		return nil
	}
	return writePage(o, machine, results)
}

// oneRun makes a run with one courier, in a folder of its own.
func oneRun(ctx context.Context, o options) (r *result, err error) {
	dir, err := os.MkdirTemp("", "vestibule-faults-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL runs as another user
		return nil, err
	}
	fmt.Printf("seed %d, courier %s, folder %s\n", o.seed, o.courier, dir)
	defer func() {
		if err == nil && !o.keep {
			err = os.RemoveAll(dir)
		}
	}()
	began := time.Now()
	if o.program == "" {
		o.program = filepath.Join(dir, "compare")
		if err := build(o.program); err != nil {
			return nil, err
		}
	}
	w, err := newWorld(dir, o.courier, o.program)
	if w != nil {
		defer func() { err = errors.Join(err, w.close()) }() // before the folder is removed
	}
	if err != nil {
		return nil, err
	}
	fmt.Printf("started in %.1f s\n", time.Since(began).Seconds())
	h, err := newHarness(o, w)
	if err != nil {
		return nil, err
	}
	defer h.close()
	if err := h.faults(ctx); err != nil {
		return nil, err
	}
	if err := h.finish(ctx); err != nil {
		return nil, err
	}
	h.result.took = time.Since(began)
	h.result.print()
	return h.result, h.verdict()
}
