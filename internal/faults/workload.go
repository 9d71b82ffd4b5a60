//go:build linux

package main

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

func basic(name, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + secret))
}

// pool is the credentials that clients use. It is safe for concurrent use.
type pool struct {
	mu        sync.Mutex
	list      []*credential
	disabling sync.Mutex // one at a time, so that the order of the calls is known
}

func (p *pool) put(c *credential) {
	p.mu.Lock()
	p.list = append(p.list, c)
	p.mu.Unlock()
}

func (p *pool) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.list)
}

// pick returns one, and removes it if take is set. It returns nil if there is none.
func (p *pool) pick(rng *rand.Rand, take bool) *credential {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == 0 {
		return nil
	}
	i := rng.IntN(len(p.list))
	c := p.list[i]
	if take {
		p.list[i] = p.list[len(p.list)-1]
		p.list = p.list[:len(p.list)-1]
	}
	return c
}

func (p *pool) remove(c *credential) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.list, c); i >= 0 {
		p.list = slices.Delete(p.list, i, i+1)
	}
}

// all returns the credentials.
func (p *pool) all() []*credential {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

// oldest is how long a credential is used. All live longer.
const oldest = 30 * time.Minute

const (
	clients  = 8
	rate     = 300 // requests a second, of all clients
	poolSize = 40
)

// worker is one client in a closed loop.
type worker struct {
	*client
	rng      *rand.Rand
	pool     *pool
	replicas []*replica
	tick     <-chan time.Time // one request each
}

func (w *worker) any() *replica { return w.replicas[w.rng.IntN(len(w.replicas))] }

// pace waits for the next request's turn. It returns false when the run ends.
func (w *worker) pace(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-w.tick:
		return true
	}
}

func (w *worker) run(ctx context.Context) {
	for w.pace(ctx) {
		switch n := w.rng.IntN(1000); {
		case w.pool.len() < poolSize && n < 500 || n < 15:
			w.issue()
		case n < 900:
			w.useOne()
		case n < 930:
			w.refresh(ctx)
		case n < 990:
			if c := w.pool.pick(w.rng, true); c != nil {
				w.end(ctx, c, w.revoke)
			}
		case n < 997:
			w.endAll(ctx)
		default:
			w.disable(ctx)
		}
	}
}

var kinds = []string{"token", "knox", "knox", "jwt", "jwt", "session", "session", "oauth2"}

func (w *worker) issue() {
	u := w.w.users[w.rng.IntN(len(w.w.users))]
	if c, ok := w.login(w.any(), kinds[w.rng.IntN(len(kinds))], u); ok {
		w.pool.put(c)
	}
}

// useOne uses a credential somewhere. One that would soon expire is dropped instead: the checker does
// not know about expiry.
func (w *worker) useOne() {
	c := w.pool.pick(w.rng, false)
	switch {
	case c == nil:
	case time.Duration(w.rec.Now()-c.born) > oldest:
		w.pool.remove(c)
	default:
		if a := w.use(w.any(), c); a.res == history.No { // the checker finds out whether that was right
			w.pool.remove(c)
		}
	}
}

// end revokes a credential that every replica has in its cache, until the outcome is known, and then
// uses it everywhere.
func (w *worker) end(ctx context.Context, c *credential, revoke func(*replica, *credential) answer) {
	for _, r := range w.replicas {
		if !w.pace(ctx) {
			return
		}
		w.use(r, c)
	}
	if !w.known(ctx, func() answer { return revoke(w.any(), c) }) {
		return
	}
	w.probe(ctx, c)
}

// known repeats a call until its outcome is known. In between it uses other credentials, so that the
// history of an outage has more than failing changes.
func (w *worker) known(ctx context.Context, call func() answer) bool {
	for w.pace(ctx) {
		if a := call(); a.res == history.Yes || a.res == history.No {
			return true
		}
		for range 4 {
			if w.pace(ctx) {
				w.useOne()
			}
		}
	}
	return false
}

// probe uses a revoked credential on all replicas at the same time, again and again for about half a
// second, and sometimes once more after the bound.
func (w *worker) probe(ctx context.Context, c *credential) {
	rounds := 5 + w.rng.IntN(2)
	for i := range rounds {
		if i == 5 {
			sleep(ctx, 2*bound)
		}
		var all sync.WaitGroup
		for _, r := range w.replicas {
			if !w.pace(ctx) {
				break
			}
			all.Go(func() { w.use(r, c) })
		}
		all.Wait()
	}
}

// refresh uses a refresh token once, or from two clients at the same time.
func (w *worker) refresh(ctx context.Context) {
	c := w.pool.pick(w.rng, true)
	if c == nil {
		return
	}
	if c.kind != "jwt" {
		w.pool.put(c)
		return
	}
	if w.rng.IntN(4) > 0 {
		if next, _ := w.renew(w.any(), c); next != nil {
			w.pool.put(next)
		}
		return
	}
	var both sync.WaitGroup
	var next [2]*credential
	var got [2]answer
	for i := range next {
		r := w.any()
		both.Go(func() { next[i], got[i] = w.renew(r, c) })
	}
	both.Wait()
	for _, x := range next { // a loser has revoked the family
		if x != nil && w.pace(ctx) {
			w.probe(ctx, x)
		}
	}
}

// endAll logs an account out everywhere, which ends all its credentials of every scheme.
func (w *worker) endAll(ctx context.Context) {
	c := w.pool.pick(w.rng, true)
	if c == nil {
		return
	}
	if c.kind == "oauth2" {
		w.pool.put(c)
		return
	}
	w.end(ctx, c, w.everywhere)
}

// disable disables an account in the database and enables it again, as an administrator's tool does.
func (w *worker) disable(ctx context.Context) {
	if !w.pool.disabling.TryLock() {
		return
	}
	defer w.pool.disabling.Unlock()
	u := w.w.users[w.rng.IntN(len(w.w.users)/4)]
	c, ok := w.login(w.any(), "knox", u)
	if !ok {
		return
	}
	for _, op := range []string{history.Disable, history.Enable} {
		known := w.known(ctx, func() answer { return w.setActive(u, op) })
		if op == history.Disable && known {
			w.probe(ctx, c)
		}
	}
}

func (w *worker) setActive(u account, op string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a := answer{res: history.Unknown, t0: w.rec.Now()}
	account, err := w.w.store.UserByName(ctx, u.name)
	if err == nil {
		err = w.w.store.SetActive(ctx, account.ID, op == history.Enable)
	}
	a.t1 = w.rec.Now()
	if err == nil {
		a.res = history.Yes
	}
	w.rec.Add(history.Event{T0: a.t0, T1: a.t1, Client: w.id, Op: op, Sub: u.name, Res: a.res})
	return a
}
