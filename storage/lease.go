package storage

import "context"

// Lease says how long the answer of a lookup may be used again without asking. A store
// that keeps answers (package cached) gives one with them: see User.Lease.
type Lease interface {
	// Valid reports whether the same lookup, made now by a request with that context, would
	// be answered by what is kept. It measures the time by a clock of its own, one that
	// setting the wall clock does not change.
	Valid(ctx context.Context) bool
	// IssuedBy reports whether it is store that gave the lease.
	IssuedBy(store any) bool
}

// Lease returns how long the answer that u came with holds: u and the credential that was
// looked up. nil is for that moment alone, which is what a store that keeps nothing says.
func (u *User) Lease() Lease { return u.lease }

// LeaseOf is Lease where store itself gave it, and nil otherwise: a store in front of that one
// may have rules of its own, and wants to be asked each time.
func (u *User) LeaseOf(store any) Lease {
	if u.lease == nil || !u.lease.IssuedBy(store) {
		return nil
	}
	return u.lease
}

// Leased returns u with a lease, for a store that keeps answers.
func (u User) Leased(l Lease) User {
	u.lease = l
	return u
}
