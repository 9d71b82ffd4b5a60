//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	randv2 "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

const (
	bound     = bus.Bound
	recovered = 5 * time.Second
)

// options are the flags.
type options struct {
	courier, dir  string
	only          string // a fault
	soak, budget  time.Duration
	every         time.Duration
	seed          uint64
	steady        time.Duration
	keepDirectory bool
}

func main() {
	var o options
	flag.StringVar(&o.courier, "courier", gormstore.CourierNotify, "courier of the replicas: notify or outbox")
	flag.DurationVar(&o.soak, "soak", 0, "how long to inflict random faults; 0: each fault of the list once")
	flag.DurationVar(&o.budget, "budget", 140*time.Second, "no fault of the list begins later than this after the start")
	flag.StringVar(&o.only, "only", "", "inflict only this fault, again and again until -budget")
	flag.DurationVar(&o.every, "every", 90*time.Second, "time between two faults of a soak")
	flag.DurationVar(&o.steady, "steady", 8*time.Second, "time before the first fault")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the run (default: the time)")
	flag.BoolVar(&o.keepDirectory, "keep", false, "keep the folder with the history and the logs")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// harness is one run.
type harness struct {
	options
	w       *world
	rec     *history.Recorder
	secrets canaries
	hmac    []byte
	http    *http.Client
	tick    <-chan time.Time
	broken  *replica
	before  map[string]resources
	rss     []int // KiB of replica A, a sample a minute
}

func run(o options) (err error) {
	// The whole run is bounded, whatever hangs.
	ctx, cancel := context.WithTimeout(context.Background(), o.soak+15*time.Minute)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.dir, err = os.MkdirTemp("", "vestibule-faults-"); err != nil {
		return err
	}
	if err := os.Chmod(o.dir, 0o755); err != nil { // PostgreSQL runs as another user
		return err
	}
	fmt.Printf("seed %d, courier %s, folder %s\n", o.seed, o.courier, o.dir)
	h := &harness{options: o, hmac: make([]byte, 32), before: map[string]resources{}}
	_, _ = rand.Read(h.hmac) // never fails
	defer func() {
		if err == nil && !o.keepDirectory {
			err = os.RemoveAll(o.dir)
		}
	}()
	began := time.Now()
	h.w, err = newWorld(o.dir, o.courier)
	if h.w != nil {
		defer h.w.close()
	}
	if err != nil {
		return err
	}
	for _, u := range h.w.users {
		h.secrets.add(u.password)
	}
	fmt.Printf("started in %.1f s\n", time.Since(began).Seconds())
	if h.rec, err = history.NewRecorder(filepath.Join(o.dir, "history.jsonl")); err != nil {
		return err
	}
	defer h.rec.Close()
	db, err := postgres.Open(h.w.db.url(h.w.db.addr()), nil)
	if err != nil {
		return err
	}
	defer db.Close()
	h.w.store = db
	h.http = &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{MaxIdleConnsPerHost: clients, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return h.w.dial(ctx, addr) }}}
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	h.tick = tick.C
	if err := h.faults(ctx, began); err != nil {
		return err
	}
	if err := h.plant(ctx); err != nil {
		return err
	}
	return h.report(time.Since(began))
}

// worker returns client number id.
func (h *harness) worker(id int, p *pool) *worker {
	return &worker{
		client:   &client{w: h.w, rec: h.rec, hmac: h.hmac, http: h.http, id: id, seen: h.secrets.add},
		rng:      randv2.New(randv2.NewPCG(h.seed, uint64(id))),
		pool:     p,
		replicas: h.w.replicas,
		tick:     h.tick,
	}
}

// faults runs the clients and the faults.
func (h *harness) faults(ctx context.Context, began time.Time) error {
	working, done := context.WithCancel(ctx)
	var all sync.WaitGroup
	p := &pool{}
	for id := range clients {
		all.Go(func() { h.worker(id, p).run(working) })
	}
	sleep(ctx, h.steady)
	for _, r := range h.w.replicas {
		h.before[r.name] = r.p.resources()
	}
	var err error
	if h.soak > 0 {
		err = h.random(ctx)
	} else {
		err = h.listed(ctx, began)
	}
	done()
	all.Wait()
	return errors.Join(err, ctx.Err())
}

// listed inflicts the faults in the order of the plan, or only one of them, while there is time.
func (h *harness) listed(ctx context.Context, began time.Time) error {
	rng := randv2.New(randv2.NewPCG(h.seed, 1000))
	for end, i := began.Add(h.budget), 0; time.Now().Before(end) && ctx.Err() == nil; i++ {
		name := h.only
		if name == "" {
			if i == len(order) {
				return nil
			}
			name = order[i]
		}
		list := h.w.faults(rng)
		k := slices.IndexFunc(list, func(f fault) bool { return f.name == name })
		switch {
		case k >= 0:
			if err := h.w.inflict(ctx, h.rec, list[k]); err != nil {
				return err
			}
		case h.only != "":
			return fmt.Errorf("there is no fault %q", name)
		}
	}
	return nil
}

// random inflicts a random fault every so often.
func (h *harness) random(ctx context.Context) error {
	rng := randv2.New(randv2.NewPCG(h.seed, 1000))
	for end := time.Now().Add(h.soak); time.Now().Before(end) && ctx.Err() == nil; {
		list := h.w.faults(rng)
		next := time.Now().Add(h.every)
		if err := h.w.inflict(ctx, h.rec, list[rng.IntN(len(list))]); err != nil {
			return err
		}
		sleep(ctx, time.Until(next))
		h.rss = append(h.rss, h.w.replicas[0].p.resources().KiB)
	}
	return nil
}

// plant adds a replica that is broken on purpose.
func (h *harness) plant(ctx context.Context) (err error) {
	if h.broken, err = h.w.plant(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, planted)
	defer cancel()
	var all sync.WaitGroup
	for id := range 4 {
		all.Go(func() { h.worker(clients+id, &pool{}).tryPlanted(ctx, h.broken) })
	}
	all.Wait()
	return nil
}
