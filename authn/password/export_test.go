package password

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// Slots reports how many slots of the hasher are taken, and how many wait.
func (h *Hasher) Slots() (taken, waiting int) {
	h.queue.mu.Lock()
	defer h.queue.mu.Unlock()
	return h.queue.running[strangers] + h.queue.running[knowns], h.queue.waiting
}

// Hold takes a slot as a hash does.
func (h *Hasher) Hold(ctx context.Context, source string) (release func(), err error) {
	return h.queue.enter(ctx, asker{network: source})
}

// HoldAs is Hold for an account from a network, known or not.
func (h *Hasher) HoldAs(ctx context.Context, known bool, account, network string) (release func(), err error) {
	return h.queue.enter(ctx, asker{known, account, network})
}

// OnHash calls begin as each hash begins, and end as it ends.
func (h *Hasher) OnHash(begin, end func()) {
	h.onHash = func() func() { begin(); return end }
}

// Usable reports whether Verify would compute the hash.
func Usable(encoded string) bool { return usable(storage.PasswordHash(encoded)) }

// Entries returns how many passwords are remembered.
func Entries(c authn.PasswordChecker) int {
	k := c.(*cached)
	k.mu.Lock()
	defer k.mu.Unlock()
	n, _ := k.entries.Usage()
	return n
}

// SourceOf is where Cached remembers an account of a request for.
func SourceOf(r *http.Request) netip.Addr { return sourceOf(authn.TrustedProxies{}, r) }

// Common, IsListed and IsCommon are the list of common passwords and what is read from it.
func Common() string         { return common }
func IsListed(s string) bool { return isListed(s) }
func IsCommon(s string) bool { return isCommon(s) }

// DummyIsNew reports whether unknown names compute a hash as new ones are.
func (h *Hasher) DummyIsNew() bool {
	v := h.dearest.dummy.Load()
	return v == nil || (*v).cost() <= h.costOfNew()
}

// Names returns how many accounts and networks the queue of the hasher remembers.
func (h *Hasher) Names() (n int) {
	h.queue.mu.Lock()
	defer h.queue.mu.Unlock()
	for i := range h.queue.lines {
		n += len(h.queue.lines[i].accounts) + len(h.queue.lines[i].networks)
	}
	return n
}
