//go:build linux

package hydra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Connections is how many connections send requests at the same time.
const Connections = 16

// introspected is the number of different tokens that are introspected.
const introspected = 1024

// Slot is what was measured of one server in one turn.
type Slot struct {
	// PerSecond are the requests per second. An authorization code flow counts once.
	PerSecond float64
	// P50 and P99 are in milliseconds.
	P50, P99 float64
	// Server, PostgreSQL and Client are the processor time per request, in milliseconds.
	Server, PostgreSQL, Client float64
	// WAL is what PostgreSQL wrote to its log per request, in bytes.
	WAL float64
}

// contestant is a server with what the measurements need.
type contestant struct {
	*server
	access, user []string // tokens of the client, and of users with the scope openid
	workers      [Connections]*worker
	next         atomic.Int64 // user
}

// grants is the number of grants that each connection refreshes.
const grants = 8

type worker struct {
	c       *client
	n       int
	refresh [grants]string // used in turn, because a new grant can be refreshed only 300 times at once
	took    []time.Duration
}

// prepare gets the tokens, and checks that the server rejects what it must reject.
func (k *contestant) prepare() error {
	for i := range k.workers {
		k.workers[i] = &worker{c: newClient(), n: i * introspected / Connections}
	}
	err := k.each(func(w *worker) error {
		for range introspected / Connections {
			t, err := k.clientCredentials(w.c)
			if err != nil {
				return err
			}
			w.took = append(w.took, 0)
			k.keep(t.Access, "")
		}
		for i := range w.refresh {
			t, err := k.code(w.c, k.nextUser(), plainScopes)
			if err != nil {
				return err
			}
			w.refresh[i] = t.Refresh
		}
		t, err := k.code(w.c, k.nextUser(), scopes)
		if err == nil {
			k.keep("", t.Access)
		}
		return err
	})
	if err != nil {
		return err
	}
	return k.check(k.workers[0].c)
}

var keeping sync.Mutex

func (k *contestant) keep(access, user string) {
	keeping.Lock()
	defer keeping.Unlock()
	if access != "" {
		k.access = append(k.access, access)
	}
	if user != "" {
		k.user = append(k.user, user)
	}
}

// check fails if a wrong credential is accepted, because the figures would then mean nothing.
func (k *contestant) check(c *client) error {
	wrong := *k.server
	wrong.secret += "x"
	if _, err := wrong.clientCredentials(c); err == nil {
		return fmt.Errorf("%s accepts a wrong client secret", k.name)
	}
	if ok, err := k.active(c, k.access[0]+"x"); err != nil || ok {
		return fmt.Errorf("%s: introspection of a wrong token: active %t, %w", k.name, ok, err)
	}
	if ok, err := k.active(c, k.access[0]); err != nil || !ok {
		return fmt.Errorf("%s: introspection of a token: active %t, %w", k.name, ok, err)
	}
	if _, err := k.subject(c, k.user[0]+"x"); err == nil {
		return fmt.Errorf("%s: userinfo accepts a wrong token", k.name)
	}
	return nil
}

func (k *contestant) nextUser() int { return int(k.next.Add(1)) }

func (k *contestant) each(do func(*worker) error) error {
	errs := make([]error, Connections)
	var wg sync.WaitGroup
	for i, w := range k.workers {
		wg.Go(func() { errs[i] = do(w) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (k *contestant) close() {
	for _, w := range k.workers {
		if w != nil {
			w.c.close()
		}
	}
}

// do does one work once.
func (k *contestant) do(work string, w *worker) error {
	w.n++
	switch work {
	case ClientCredentials:
		_, err := k.clientCredentials(w.c)
		return err
	case Introspection:
		ok, err := k.active(w.c, k.access[w.n%len(k.access)])
		if err == nil && !ok {
			err = errors.New("a token is inactive")
		}
		return err
	case Refresh:
		token := &w.refresh[w.n%grants]
		t, err := k.refresh(w.c, *token)
		*token = t.Refresh
		return err
	case CodeFlow:
		_, err := k.code(w.c, k.nextUser(), scopes)
		return err
	case UserInfo:
		_, err := k.subject(w.c, k.user[w.n%len(k.user)])
		return err
	}
	return fmt.Errorf("unknown work %q", work)
}

// meter reads what the machine spent.
type meter struct {
	server, postgresql, client time.Duration
	wal                        float64
}

// turn sends requests for a time, over all connections.
func (k *contestant) turn(ctx context.Context, work string, long time.Duration, read func() (meter, error)) (Slot, error) {
	before, err := read()
	if err != nil {
		return Slot{}, err
	}
	begin := time.Now()
	end := begin.Add(long)
	err = k.each(func(w *worker) error {
		w.took = w.took[:0]
		for at := time.Now(); len(w.took) == 0 || at.Before(end); at = time.Now() { // at least once
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := k.do(work, w); err != nil {
				return fmt.Errorf("%s, %s: %w", k.name, work, err)
			}
			w.took = append(w.took, time.Since(at))
		}
		return nil
	})
	lasted := time.Since(begin)
	if err != nil {
		return Slot{}, err
	}
	after, err := read()
	if err != nil {
		return Slot{}, err
	}
	var all []time.Duration
	for _, w := range k.workers {
		all = append(all, w.took...)
	}
	slices.Sort(all)
	n := float64(len(all))
	return Slot{
		PerSecond: n / lasted.Seconds(), P50: millis(quantile(all, 0.5)), P99: millis(quantile(all, 0.99)),
		Server: millis(after.server-before.server) / n, PostgreSQL: millis(after.postgresql-before.postgresql) / n, Client: millis(after.client-before.client) / n,
		WAL: (after.wal - before.wal) / n,
	}, nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quantile returns the value of a sorted list below which the part q of it lies.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

// ownCPU is the processor time of this process, which sends the requests.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
