package password

import (
	"context"
	"sync"
	"time"
)

// queue lets a number of computations run at once, and a bounded number wait for them.
//
// Waiters are served fairly by account and by network: each waiter is numbered one above the
// last waiter of its account and the last one of its network, and the lowest number is next.
// One account that is tried from many networks, or one network that tries many accounts,
// therefore waits behind its own requests only. Known callers and strangers are served in
// turns, and strangers hold at most half of the slots, rounded up.
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
	waiters   []*waiter // in the order of arrival
	served    int64     // the number that was served last
	accounts  map[string]int64
	networks  map[string]int64
	byNetwork map[string]int // how many wait
}

type waiter struct {
	asker
	number int64
	done   chan bool // true: a slot is the waiter's; false: it was turned away
}

func newQueue(slots int, maxWait time.Duration, maxWaiting int) *queue {
	q := &queue{slots: slots, maxWait: maxWait, max: maxWaiting, share: max(1, maxWaiting/4), turn: knowns}
	for i := range q.lines {
		q.lines[i] = line{accounts: make(map[string]int64), networks: make(map[string]int64), byNetwork: make(map[string]int)}
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
		w := q.lines[class].first()
		q.lines[class].remove(w)
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
	if l.byNetwork[a.network] >= q.share {
		return nil
	}
	w := &waiter{asker: a, number: l.number(a), done: make(chan bool, 1)}
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

// number is where a new waiter stands.
func (l *line) number(a asker) int64 {
	n := max(l.served, l.networks[a.network])
	if a.account != "" {
		n = max(n, l.accounts[a.account])
	}
	return n
}

func (l *line) add(w *waiter) {
	l.waiters = append(l.waiters, w)
	l.byNetwork[w.network]++
	l.networks[w.network] = w.number + 1
	if w.account != "" {
		l.accounts[w.account] = w.number + 1
	}
}

// first is the waiter with the lowest number, the one that came first among equals.
func (l *line) first() *waiter {
	first := l.waiters[0]
	for _, w := range l.waiters {
		if w.number < first.number {
			first = w
		}
	}
	l.served = first.number
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

// remove takes a waiter out, and forgets the numbers of those who do not wait any more.
func (l *line) remove(w *waiter) bool {
	for i, x := range l.waiters {
		if x != w {
			continue
		}
		l.waiters = append(l.waiters[:i], l.waiters[i+1:]...)
		if l.byNetwork[w.network]--; l.byNetwork[w.network] == 0 {
			delete(l.byNetwork, w.network)
		}
		if len(l.waiters) == 0 {
			l.served = 0
		}
		if len(l.waiters) == 0 || len(l.networks)+len(l.accounts) > 4*cap(l.waiters)+64 {
			forget(l.networks, l.served, len(l.waiters) == 0)
			forget(l.accounts, l.served, len(l.waiters) == 0)
		}
		return true
	}
	return false
}

// forget drops the numbers that a new waiter would not notice.
func forget(numbers map[string]int64, served int64, all bool) {
	for name, n := range numbers {
		if all || n <= served {
			delete(numbers, name)
		}
	}
}
