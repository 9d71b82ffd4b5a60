package storage

import "context"

// Lease determines how long the result of a lookup can be reused without another lookup. Stores
// that cache results, such as the stores of package cached, attach a lease; see [User.Lease].
type Lease interface {
	// Valid reports whether the same lookup, made now by a request with ctx, would return the
	// cached result. It measures time with a monotonic clock, so setting the wall clock has no
	// effect.
	Valid(ctx context.Context) bool
	// IssuedBy reports whether store issued the lease.
	IssuedBy(store any) bool
}

// Lease returns the lease of the lookup that returned u, with or without a credential. Nil means
// that the result must not be reused. Stores that do not cache return nil.
func (u *User) Lease() Lease { return u.lease }

// LeaseOf is [User.Lease] if store itself issued the lease, and nil otherwise. A store that wraps
// the issuing store may have its own rules, so callers must call it each time.
func (u *User) LeaseOf(store any) Lease {
	if u.lease == nil || !u.lease.IssuedBy(store) {
		return nil
	}
	return u.lease
}

// Leased returns u with a lease. Stores that cache results call it.
func (u User) Leased(l Lease) User {
	u.lease = l
	return u
}
