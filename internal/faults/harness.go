//go:build linux

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	randv2 "math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// harness is one run.
type harness struct {
	options
	w       *world
	db      *gormstore.Store
	rec     *history.Recorder
	secrets canaries
	hmac    []byte
	http    *http.Client
	ticker  *time.Ticker
	pool    *pool
	before  map[string]resources
	part    int // of the history, from 1
	chosen  map[string]int
	result  *result
}

func newHarness(o options, w *world) (h *harness, err error) {
	h = &harness{options: o, w: w, hmac: make([]byte, 32), pool: &pool{}, before: map[string]resources{}, part: 1, chosen: map[string]int{}}
	h.result = newResult(o, w)
	_, _ = rand.Read(h.hmac) // never fails
	for _, u := range w.users {
		h.secrets.add(u.password)
	}
	if h.rec, err = history.NewRecorder(h.historyFile()); err != nil {
		return nil, err
	}
	if h.db, err = postgres.Open(w.db.url(w.db.addr()), nil); err != nil {
		return nil, errors.Join(err, h.rec.Close())
	}
	w.store = h.db
	h.http = &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{MaxIdleConnsPerHost: clients, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return w.dial(ctx, addr) }}}
	h.ticker = time.NewTicker(time.Second / rate)
	return h, nil
}

func (h *harness) close() {
	h.ticker.Stop()
	_ = h.db.Close()
	_ = h.rec.Close()
}

func (h *harness) historyFile() string {
	return filepath.Join(h.w.dir, fmt.Sprintf("history-%02d.jsonl", h.part))
}

// worker returns client number id.
func (h *harness) worker(id int, p *pool) *worker {
	return &worker{
		client:   &client{w: h.w, rec: h.rec, hmac: h.hmac, http: h.http, id: id, seen: h.secrets.add},
		rng:      randv2.New(randv2.NewPCG(h.seed, uint64(h.part*100+id))),
		pool:     p,
		replicas: h.w.replicas,
		tick:     h.ticker.C,
	}
}

// faults runs the clients and the faults.
func (h *harness) faults(ctx context.Context) error {
	rng := randv2.New(randv2.NewPCG(h.seed, 1000))
	if h.soak == 0 {
		return h.segmentOf(ctx, func(ctx context.Context) error { return h.listed(ctx, rng) })
	}
	for end := time.Now().Add(h.soak); time.Now().Before(end) && ctx.Err() == nil; {
		until := time.Now().Add(h.segment)
		if rest := time.Until(end); rest < h.segment*3/2 { // no short last one
			until = end
		}
		if err := h.segmentOf(ctx, func(ctx context.Context) error { return h.random(ctx, rng, until) }); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// segmentOf runs the clients while inflict runs, and checks what they saw.
func (h *harness) segmentOf(ctx context.Context, inflict func(context.Context) error) error {
	h.enableAll(ctx)
	working, done := context.WithCancel(ctx)
	var all sync.WaitGroup
	for id := range clients {
		all.Go(func() { h.worker(id, h.pool).run(working) })
	}
	all.Go(func() { h.worker(clients, h.pool).tryLimits(working, h.w.replicas) })
	all.Go(func() { h.probe(working) })
	sleep(ctx, h.steady)
	if err := h.measure(h.w.replicas...); err != nil {
		done()
		all.Wait()
		return err
	}
	err := inflict(ctx)
	done()
	all.Wait()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	keep := h.survivors(ctx)
	list, err := h.next()
	if err != nil {
		return err
	}
	h.result.add(history.Check(list, h.bounds()), list)
	for _, e := range keep { // in the new part they are issued at its beginning
		e.T0, e.T1 = h.rec.Now(), h.rec.Now()
		h.rec.Add(e)
	}
	return nil
}

// fast is how soon a database that has recovered answers a new connection.
const fast = 500 * time.Millisecond

// probe notes whether the database itself answers, without the replicas and the proxies. If it does
// not, because the machine has too much to do, a recovery cannot be judged.
func (h *harness) probe(ctx context.Context) {
	for ctx.Err() == nil {
		e := history.Event{T0: h.rec.Now(), Op: history.Probe, Res: history.No}
		err := h.w.db.ping()
		if e.T1 = h.rec.Now(); err == nil && e.T1-e.T0 < int64(fast) {
			e.Res = history.Yes
		}
		h.rec.Add(e)
		sleep(ctx, fast)
	}
}

func (h *harness) bounds() history.Bounds {
	return history.Bounds{Revoked: bound, Recovered: recovered, Limit: deviceLimit}
}

// next ends a part of the history and returns it. The next part begins.
func (h *harness) next() ([]history.Event, error) {
	h.part++
	return h.rec.Split(h.historyFile())
}

// measure notes what the replicas use before the faults.
func (h *harness) measure(replicas ...*replica) error {
	for _, r := range replicas {
		if _, ok := h.before[r.name]; ok {
			continue
		}
		n, err := r.goroutines()
		if err != nil {
			return err
		}
		h.before[r.name] = r.p.resources()
		h.before[r.name] = resources{h.before[r.name].Files, h.before[r.name].Threads, h.before[r.name].KiB, n}
	}
	return nil
}

// enableAll enables the accounts that a call with an unknown outcome may have left disabled.
func (h *harness) enableAll(ctx context.Context) {
	if h.part == 1 {
		return
	}
	w := h.worker(clients, h.pool)
	for _, u := range w.w.users[:len(w.w.users)/4] {
		w.known(ctx, func() answer { return w.setActive(u, history.Enable) })
	}
}

// survivors uses each credential once more, when no call runs any more and every outcome is
// certain. It drops those that are rejected, and returns how the others were issued.
func (h *harness) survivors(ctx context.Context) (issued []history.Event) {
	sleep(ctx, time.Second)
	w := h.worker(clients, h.pool)
	for _, c := range h.pool.all() {
		if a := w.use(h.w.replicas[0], c); a.res != history.Yes {
			h.pool.remove(c)
			continue
		}
		issued = append(issued, history.Event{Op: history.Issue, Cred: w.hash(c.text), Family: c.family, Sub: c.sub, Kind: c.kind, Res: history.Yes, Note: "from the part before"})
	}
	return issued
}

// listed inflicts the faults in the order of the plan, or only one of them, while there is time.
func (h *harness) listed(ctx context.Context, rng *randv2.Rand) error {
	for end, i := time.Now().Add(h.budget), 0; time.Now().Before(end) && ctx.Err() == nil; i++ {
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

// rarest returns a random fault, of those that were chosen least often.
func (h *harness) rarest(rng *randv2.Rand) fault {
	list := h.w.faults(rng)
	least := math.MaxInt
	for _, f := range list {
		least = min(least, h.chosen[f.name])
	}
	list = slices.DeleteFunc(list, func(f fault) bool { return h.chosen[f.name] > least })
	slices.SortFunc(list, func(a, b fault) int { return cmp.Compare(a.name, b.name) }) // those of proxies come from a map
	f := list[rng.IntN(len(list))]
	h.chosen[f.name]++
	return f
}

// random inflicts a random fault every so often.
func (h *harness) random(ctx context.Context, rng *randv2.Rand, until time.Time) error {
	for time.Now().Before(until) && ctx.Err() == nil {
		next := time.Now().Add(h.every)
		if next.After(until) {
			next = until
		}
		if err := h.w.inflict(ctx, h.rec, h.rarest(rng)); err != nil {
			return err
		}
		sleep(ctx, time.Until(next))
		h.result.rss = append(h.result.rss, h.w.replicas[0].p.resources().KiB)
	}
	return nil
}
