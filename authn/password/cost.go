package password

import (
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// dearest remembers the stored hashes that take longest to compute, of those that logins met. A
// login of an unknown name computes such a one, so that it takes as long as one of an account.
type dearest struct {
	cost  atomic.Int64 // in nanoseconds
	dummy atomic.Pointer[verifier]
}

// maxDummy bounds what a login of an unknown name computes: a single hash of an extreme cost must not
// make all failures cost as much. The floor of a failed login, which computes nothing, rises all the
// same.
const maxDummy = 250 * time.Millisecond

// note keeps what v costs, and v itself to be computed for unknown names, if it is the dearest.
func (d *dearest) note(v verifier) {
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

// cost of one hash of the dearest kind.
func (h *Hasher) cost() time.Duration {
	return max(time.Duration(h.dearest.cost.Load()), h.costOfNew())
}

func (h *Hasher) costOfNew() time.Duration {
	if h.format.version != "" {
		return bcryptCost(h.format.cost)
	}
	return argon2Cost(h.params)
}

// dummy computes a hash of the dearest kind, which matches nothing.
func (h *Hasher) dummy(password string) {
	if v := h.dearest.dummy.Load(); v != nil && (*v).cost() > h.costOfNew() {
		(*v).verify(password)
		return
	}
	if h.format.version != "" {
		_, _ = bcrypt.GenerateFromPassword([]byte(password[:min(len(password), bcryptPassword)]), h.format.cost)
		return
	}
	h.argon2id(password, make([]byte, saltLen))
}

// The costs below are estimates for a slow server: about one core of 2015. What counts is their
// order, and that two of them lie below the floor of a failed login.

func bcryptCost(cost int) time.Duration { return 60 * time.Microsecond << cost }

func argon2Cost(p Params) time.Duration {
	return time.Duration(p.Memory) * time.Duration(p.Time) * time.Microsecond
}
