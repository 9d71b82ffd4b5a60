package password

import (
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// slowest records the slowest stored hashes that logins have met. A login with an unknown name
// computes such a hash, so that it takes as long as one of an account.
type slowest struct {
	cost  atomic.Int64 // of the slowest hash, in nanoseconds
	dummy atomic.Pointer[verifier]
}

// maxDummy limits the cost of the hash for unknown names, so that a single stored hash with an
// extreme cost does not slow down every failure. The minimum time of a failed login, which costs no
// computation, still increases.
const maxDummy = 250 * time.Millisecond

// note records the cost of v, and keeps v for unknown names if it is the slowest so far.
func (d *slowest) note(v verifier) {
	cost := v.cost()
	for old := d.cost.Load(); int64(cost) > old; old = d.cost.Load() {
		if d.cost.CompareAndSwap(old, int64(cost)) {
			break
		}
	}
	if cost > maxDummy {
		return
	}
	for {
		old := d.dummy.Load()
		if old != nil && (*old).cost() >= cost {
			return
		}
		if blank := v.blank(); d.dummy.CompareAndSwap(old, &blank) {
			return
		}
	}
}

// cost returns the estimated time of the slowest hash.
func (h *Hasher) cost() time.Duration {
	return max(time.Duration(h.slowest.cost.Load()), h.costOfNew())
}

func (h *Hasher) costOfNew() time.Duration {
	if h.format.version != "" {
		return bcryptCost(h.format.cost)
	}
	return argon2Cost(h.params)
}

// dummy computes a hash as slow as the slowest one. It matches nothing.
func (h *Hasher) dummy(password string) {
	if v := h.slowest.dummy.Load(); v != nil && (*v).cost() > h.costOfNew() {
		(*v).verify(password)
		return
	}
	if h.format.version != "" {
		_, _ = bcrypt.GenerateFromPassword([]byte(password[:min(len(password), bcryptPassword)]), h.format.cost)
		return
	}
	h.argon2id(password, make([]byte, saltLen))
}

// The costs below are estimates for one core of a slow server of 2015. Only their order is
// relevant, and that two of them are below the minimum time of a failed login.

func bcryptCost(cost int) time.Duration { return 60 * time.Microsecond << cost }

func argon2Cost(p Params) time.Duration {
	return time.Duration(p.Memory) * time.Duration(p.Time) * time.Microsecond
}
