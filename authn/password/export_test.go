package password

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/vestibule-auth/vestibule/authn"
)

// Slots returns how many slots of the hasher are in use, and how many callers wait.
func (h *Hasher) Slots() (taken, waiting int) {
	h.queue.mu.Lock()
	defer h.queue.mu.Unlock()
	return h.queue.running[strangers] + h.queue.running[knownCallers], h.queue.waiting
}

// Hold takes a slot as a hash computation does.
func (h *Hasher) Hold(ctx context.Context, source string) (release func(), err error) {
	return h.queue.enter(ctx, caller{network: source})
}

// HoldAs is Hold for an account from a network, known or not.
func (h *Hasher) HoldAs(ctx context.Context, known bool, account, network string) (release func(), err error) {
	return h.queue.enter(ctx, caller{known, account, network})
}

// OnHash makes the hasher call begin at the start of each hash, and end at its end.
func (h *Hasher) OnHash(begin, end func()) {
	h.onHash = func() func() { begin(); return end }
}

// Entries returns the number of cached passwords.
func Entries(c authn.PasswordChecker) int {
	k := c.(*cached)
	k.mu.Lock()
	defer k.mu.Unlock()
	n, _ := k.entries.Usage()
	return n
}

// SourceOf returns the source for which Cached stores an account of a request.
func SourceOf(r *http.Request) netip.Addr { return sourceOf(authn.TrustedProxies{}, r) }

// Common, IsListed and IsCommon export the list of common passwords and its functions.
func Common() string         { return common }
func IsListed(s string) bool { return isListed(s) }
func IsCommon(s string) bool { return isCommon(s) }

// DummyIsNew reports whether unknown names cost the same hash as new passwords.
func (h *Hasher) DummyIsNew() bool {
	v := h.slowest.dummy.Load()
	return v == nil || (*v).cost() <= h.costOfNew()
}

// Names returns how many accounts and networks the hasher's queue stores.
func (h *Hasher) Names() (n int) {
	h.queue.mu.Lock()
	defer h.queue.mu.Unlock()
	for i := range h.queue.lines {
		n += len(h.queue.lines[i].accounts) + len(h.queue.lines[i].networks)
	}
	return n
}
