package password

import (
	"context"
	"slices"
	"sync"
	"time"
)

// queue lets a number of computations run at once, and a bounded number wait for them.
//
// Waiters are served fairly by account and by network: the lowest number is next, and each waiter
// is numbered above the last of its account and of its network that was served, by as many as
// wait of them. One account that is tried from many networks, or one network that tries many
// accounts, therefore waits behind its own requests only. A wide network (IPv4 /16, IPv6 /32) gets
// perWide slots where a network gets one. A waiter that leaves without a slot leaves no number
// behind. Known callers and strangers are served in turns, and strangers hold at
// most half of the slots, rounded up.
type queue struct {
	slots   int
	maxWait time.Duration
	max     int // waiting at once
	share   int // of them from one network

	mu      sync.Mutex
	running [2]int // by class
	lines   [2]line
	waiting int
	turn    int // the class that is served first if both wait
}

// Classes of callers.
const (
	strangers = iota
	knowns
)

// asker is for whom a hash is computed.
type asker struct {
	known            bool
	account, network string // "": none, as for a new account
}

func (a asker) class() int {
	if a.known {
		return knowns
	}
	return strangers
}

// line holds the waiters of a class.
type line struct {
	waiters  []*waiter // in the order of arrival
	served   int64     // the number that was served last
	accounts turns
	networks turns
	wides    turns // of wide networks, with perWide turns at a number
}

// perWide is how many slots a wide network gets in a turn.
const perWide = 8

// turns are what a line knows of accounts or networks by their names: of all that wait, and of
// some that were served.
type turns map[string]turn

type turn struct {
	waiting int
	next    int64 // one above the turn that was served last; 0: none was
}

type waiter struct {
	asker
	wide   string // "": none
	number int64
	done   chan bool // true: a slot is the waiter's; false: it was turned away
}

func newQueue(slots int, maxWait time.Duration, maxWaiting int) *queue {
	q := &queue{slots: slots, maxWait: maxWait, max: maxWaiting, share: max(1, maxWaiting/4), turn: knowns}
	for i := range q.lines {
		q.lines[i] = line{accounts: make(turns), networks: make(turns), wides: make(turns)}
	}
	return q
}

// enter waits for a slot. The caller calls release once, when it has computed. A wait that
// ends without a slot leaves nothing behind.
func (q *queue) enter(ctx context.Context, a asker) (release func(), err error) {
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
	if <-w.done { // served in this moment: the slot is of use to another one
		q.running[class]--
		q.next()
	}
	return nil, err
}

// fits reports whether one more of the class may run.
func (q *queue) fits(class int) bool {
	if q.running[strangers]+q.running[knowns] >= q.slots {
		return false
	}
	return class == knowns || q.running[strangers] < q.slots-q.slots/2
}

func (q *queue) leave(class int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running[class]--
	q.next()
}

// next gives free slots to waiters.
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

// join takes a waiting place. If all are taken, a waiter with a higher number than the new one
// leaves, first one of the class that holds more than half of the places. It returns nil if
// there is no place.
func (q *queue) join(a asker) *waiter {
	class := a.class()
	l := &q.lines[class]
	if l.networks[a.network].waiting >= q.share {
		return nil
	}
	w := &waiter{asker: a, wide: wideOf(a.network), done: make(chan bool, 1)}
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

// each calls f for every name that the waiter is counted under.
func (l *line) each(w *waiter, f func(t turns, name string, per int64)) {
	f(l.networks, w.network, 1)
	if w.account != "" {
		f(l.accounts, w.account, 1)
	}
	if w.wide != "" {
		f(l.wides, w.wide, perWide)
	}
}

// number is where a new waiter stands.
func (l *line) number(w *waiter) (n int64) {
	l.each(w, func(t turns, name string, per int64) { n = max(n, t.number(name, l.served, per)) })
	return n
}

func (l *line) add(w *waiter) {
	l.waiters = append(l.waiters, w)
	l.each(w, func(t turns, name string, _ int64) { t.wait(name, 1) })
}

// serve takes the waiter with the lowest number out, the one that came first among equals. keep
// is how many names without waiters are remembered at least.
func (l *line) serve(keep int) *waiter {
	first := l.waiters[0]
	for _, w := range l.waiters {
		if w.number < first.number {
			first = w
		}
	}
	l.remove(first)
	if len(l.waiters) == 0 { // nobody has to wait behind anybody
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

// last is the waiter with the highest number, the one that came last among equals.
func (l *line) last() (last *waiter) {
	for _, w := range l.waiters {
		if last == nil || w.number >= last.number {
			last = w
		}
	}
	return last
}

// remove takes a waiter out. It returns false if the waiter is not in the line.
func (l *line) remove(w *waiter) bool {
	i := slices.Index(l.waiters, w)
	if i < 0 {
		return false
	}
	l.waiters = slices.Delete(l.waiters, i, i+1)
	l.each(w, func(t turns, name string, _ int64) { t.wait(name, -1) })
	return true
}

// number is that of the next turn of a name that has per turns at each number.
func (t turns) number(name string, served, per int64) int64 {
	x := t[name]
	return (max(served*per, x.next) + int64(x.waiting)) / per
}

// wait counts waiters of a name. Names that have none and were never served are forgotten.
func (t turns) wait(name string, n int) {
	x := t[name]
	if x.waiting += n; x == (turn{}) {
		delete(t, name)
		return
	}
	t[name] = x
}

// serve notes a turn of a name, which is not before the turn at. It forgets names without waiters
// if there are too many: what is forgotten may be served once too early, and so many are not
// walked through at each turn.
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
