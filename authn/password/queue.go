package password

import (
	"context"
	"slices"
	"sync"
	"time"
)

// queue limits the number of concurrent computations, and the number of callers that wait for one.
//
// Waiters are served fairly by account and network. Each waiter gets a number, and the lowest
// number is served next. A new number is higher than the last served number of the waiter's account
// and network, by the number of waiters that they already have. So one account that is tried from
// many networks, or one network that tries many accounts, waits only behind its own requests. A
// wide network (IPv4 /16, IPv6 /32) gets perWide slots for each slot of a network. A waiter that
// leaves without a slot uses up no number.
//
// Known callers and strangers are served alternately. Strangers hold at most half of the slots,
// rounded up.
type queue struct {
	slots   int
	maxWait time.Duration
	max     int // maximum number of waiters
	share   int // maximum number of waiters of one network

	mu      sync.Mutex
	running [2]int // computations by class
	lines   [2]line
	waiting int
	turn    int // the class to serve next if both wait
}

// The classes of callers.
const (
	strangers = iota
	knownCallers
)

// caller identifies the caller for whom a hash is computed.
type caller struct {
	known            bool
	account, network string // account is "" for a new account
}

func (a caller) class() int {
	if a.known {
		return knownCallers
	}
	return strangers
}

// line holds the waiters of a class.
type line struct {
	waiters  []*waiter // in order of arrival
	served   int64     // the last served number
	accounts turns
	networks turns
	wides    turns // perWide turns per number
}

// perWide is the number of slots of a wide network per turn.
const perWide = 8

// turns holds accounts or networks by name: all that have waiters, and some that were served.
type turns map[string]turn

type turn struct {
	waiting int
	next    int64 // the last served turn plus one; 0 if none was served
}

type waiter struct {
	caller
	wide   string // "" if there is none
	number int64
	done   chan bool // true: the waiter has a slot; false: it was rejected
}

func newQueue(slots int, maxWait time.Duration, maxWaiting int) *queue {
	q := &queue{slots: slots, maxWait: maxWait, max: maxWaiting, share: max(1, maxWaiting/4), turn: knownCallers}
	for i := range q.lines {
		q.lines[i] = line{accounts: make(turns), networks: make(turns), wides: make(turns)}
	}
	return q
}

// enter waits for a slot. After the computation the caller must call release once. If enter returns
// an error, it leaves no trace in the queue.
func (q *queue) enter(ctx context.Context, a caller) (release func(), err error) {
	class := a.class()
	release = func() { q.leave(class) }
	q.mu.Lock()
	if len(q.lines[class].waiters) == 0 && q.fits(class) {
		q.running[class]++
		q.mu.Unlock()
		return release, nil
	}
	w := q.join(a)
	q.mu.Unlock()
	if w == nil {
		return nil, errBusy(q.maxWait)
	}
	timer := time.NewTimer(q.maxWait)
	defer timer.Stop()
	select {
	case ok := <-w.done:
		if !ok {
			return nil, errBusy(q.maxWait)
		}
		return release, nil
	case <-timer.C:
		err = errBusy(q.maxWait)
	case <-ctx.Done():
		err = ctx.Err()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lines[class].remove(w) {
		q.waiting--
		return nil, err
	}
	if <-w.done { // a slot was assigned meanwhile: pass it on
		q.running[class]--
		q.next()
	}
	return nil, err
}

// fits reports whether one more computation of the class can run.
func (q *queue) fits(class int) bool {
	if q.running[strangers]+q.running[knownCallers] >= q.slots {
		return false
	}
	return class == knownCallers || q.running[strangers] < q.slots-q.slots/2
}

func (q *queue) leave(class int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running[class]--
	q.next()
}

// next assigns free slots to waiters.
func (q *queue) next() {
	for {
		class := q.turn
		if len(q.lines[class].waiters) == 0 || !q.fits(class) {
			class = 1 - class
		}
		if len(q.lines[class].waiters) == 0 || !q.fits(class) {
			return
		}
		w := q.lines[class].serve(q.max)
		q.waiting--
		q.running[class]++
		q.turn = 1 - class
		w.done <- true
	}
}

// join adds a waiter. If the queue is full, it removes a waiter with a higher number than the new
// one, first one of the class that has more than half of the places. It returns nil if there is no
// place.
func (q *queue) join(a caller) *waiter {
	class := a.class()
	l := &q.lines[class]
	if l.networks[a.network].waiting >= q.share {
		return nil
	}
	w := &waiter{caller: a, wide: wideOf(a.network), done: make(chan bool, 1)}
	w.number = l.number(w)
	if q.waiting >= q.max {
		var last *waiter
		from := class
		if other := &q.lines[1-class]; len(other.waiters) > q.max-q.max/2 {
			last, from = other.last(), 1-class
		} else if last = l.last(); last == nil || last.number <= w.number {
			return nil
		}
		q.lines[from].remove(last)
		q.waiting--
		last.done <- false
	}
	q.waiting++
	l.add(w)
	return w
}

// each calls f for every name under which the waiter counts.
func (l *line) each(w *waiter, f func(t turns, name string, per int64)) {
	f(l.networks, w.network, 1)
	if w.account != "" {
		f(l.accounts, w.account, 1)
	}
	if w.wide != "" {
		f(l.wides, w.wide, perWide)
	}
}

// number returns the number of a new waiter.
func (l *line) number(w *waiter) (n int64) {
	l.each(w, func(t turns, name string, per int64) { n = max(n, t.number(name, l.served, per)) })
	return n
}

func (l *line) add(w *waiter) {
	l.waiters = append(l.waiters, w)
	l.each(w, func(t turns, name string, _ int64) { t.wait(name, 1) })
}

// serve removes and returns the waiter with the lowest number, or the first of several. keep is the
// minimum number of names without waiters that it remembers.
func (l *line) serve(keep int) *waiter {
	first := l.waiters[0]
	for _, w := range l.waiters {
		if w.number < first.number {
			first = w
		}
	}
	l.remove(first)
	if len(l.waiters) == 0 { // without waiters the order is irrelevant
		l.served = 0
		clear(l.networks)
		clear(l.accounts)
		clear(l.wides)
		return first
	}
	l.served = first.number
	l.each(first, func(t turns, name string, per int64) { t.serve(name, first.number*per, keep) })
	return first
}

// last returns the waiter with the highest number, or the last of several.
func (l *line) last() (last *waiter) {
	for _, w := range l.waiters {
		if last == nil || w.number >= last.number {
			last = w
		}
	}
	return last
}

// remove removes a waiter. It returns false if the waiter is not in the line.
func (l *line) remove(w *waiter) bool {
	i := slices.Index(l.waiters, w)
	if i < 0 {
		return false
	}
	l.waiters = slices.Delete(l.waiters, i, i+1)
	l.each(w, func(t turns, name string, _ int64) { t.wait(name, -1) })
	return true
}

// number returns the number of the next turn of a name that has per turns at each number.
func (t turns) number(name string, served, per int64) int64 {
	x := t[name]
	return (max(served*per, x.next) + int64(x.waiting)) / per
}

// wait changes the number of waiters of a name. It removes a name that has none and was never
// served.
func (t turns) wait(name string, n int) {
	x := t[name]
	if x.waiting += n; x == (turn{}) {
		delete(t, name)
		return
	}
	t[name] = x
}

// serve records a turn of a name, not before the turn at. If there are too many names, it removes
// those without waiters. A removed name may be served once too early, and the cost of removal is
// spread over many turns.
func (t turns) serve(name string, at int64, keep int) {
	x := t[name]
	x.next = max(x.next, at) + 1
	t[name] = x
	if len(t) <= 2*keep {
		return
	}
	for other, x := range t {
		if x.waiting == 0 && other != name {
			delete(t, other)
		}
	}
}
