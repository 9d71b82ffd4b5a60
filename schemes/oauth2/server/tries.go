package server

import (
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/storage"
)

// maxTriers bounds the names that are remembered, about 100 bytes each.
const maxTriers = 20_000

// tries remembers, in this process, who used up the tries of a window, so that further tries
// write nothing, and which tries the store still has to take back. What is forgotten here costs a
// write, or a try.
type tries struct {
	mu   sync.Mutex
	full *bounded.Map[storage.MAC, time.Time] // until when
	owed *bounded.Map[storage.MAC, int]
}

func newTries() *tries {
	return &tries{full: bounded.New[storage.MAC, time.Time](maxTriers, maxTriers), owed: bounded.New[storage.MAC, int](maxTriers, maxTriers)}
}

// refused returns until when tries of that name are refused.
func (t *tries) refused(name storage.MAC) (ends time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.full.Get(name)
}

func (t *tries) refuse(name storage.MAC, ends time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.full.Put(name, ends, 1)
}

// owe notes a try that the store did not take back.
func (t *tries) owe(name storage.MAC) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, _ := t.owed.Get(name)
	t.owed.Put(name, min(n+1, maxSourceTries), 1)
}

// takeOwed returns how many tries are to be taken back, and forgets them.
func (t *tries) takeOwed(name storage.MAC) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, _ := t.owed.Get(name)
	t.owed.Drop(name)
	return n
}
