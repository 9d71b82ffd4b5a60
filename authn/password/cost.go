package password

import (
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// dearest remembers the stored hash that takes longest to compute, of those that logins met: what a
// login of an unknown name computes, so that it takes as long as one of an account.
type dearest struct{ is atomic.Pointer[verifier] }

// note keeps v if it costs more than what is kept.
func (d *dearest) note(v verifier) {
	for {
		old := d.is.Load()
		if old != nil && (*old).cost() >= v.cost() {
			return
		}
		if blank := v.blank(); d.is.CompareAndSwap(old, &blank) {
			return
		}
	}
}

// cost of one hash of the dearest kind.
func (h *Hasher) cost() time.Duration {
	if v := h.dearest.is.Load(); v != nil {
		return max((*v).cost(), h.costOfNew())
	}
	return h.costOfNew()
}

func (h *Hasher) costOfNew() time.Duration {
	if h.format.version != "" {
		return bcryptCost(h.format.cost)
	}
	return argon2Cost(h.params)
}

// dummy computes a hash of the dearest kind, which matches nothing.
func (h *Hasher) dummy(password string) {
	if v := h.dearest.is.Load(); v != nil && (*v).cost() > h.costOfNew() {
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
