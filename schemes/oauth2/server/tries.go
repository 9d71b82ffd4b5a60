package server

import (
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/storage"
)

// maxTriers is the maximum number of remembered names, about 100 bytes each.
const maxTriers = 20_000

// tries remembers, in this process, which names have used up their attempts, so that further
// attempts write nothing. It also remembers which attempts the store still has to take back. An
// evicted entry costs an extra write, or an attempt.
type tries struct {
	mu   sync.Mutex
	full *bounded.Map[storage.MAC, time.Time] // end of the rejection
	owed *bounded.Map[storage.MAC, int]
}

func newTries() *tries {
	return &tries{full: bounded.New[storage.MAC, time.Time](maxTriers, maxTriers), owed: bounded.New[storage.MAC, int](maxTriers, maxTriers)}
}

// refused returns until when attempts of that name are rejected.
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

// owe records an attempt that the store did not take back.
func (t *tries) owe(name storage.MAC) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, _ := t.owed.Get(name)
	t.owed.Put(name, min(n+1, maxSourceTries), 1)
}

// takeOwed returns and removes the number of attempts to be taken back.
func (t *tries) takeOwed(name storage.MAC) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, _ := t.owed.Get(name)
	t.owed.Drop(name)
	return n
}
