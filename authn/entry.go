package authn

import (
	"context"
	"math"
	"net/http"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
)

// entry is a kept identity. It does not change after it was created.
type entry struct {
	digest  digest
	by      Authenticator
	id      Identity
	handed  handed
	lease   Lease
	timed   timedLease // lease, or nil
	clock   func() time.Time
	check   func(*http.Request) error
	from    int64         // wall clock in nanoseconds
	until   int64         // likewise
	ends    time.Duration // in time of Table.elapsed
	guesses *atomic.Uint64
	guessed uint64 // the value of guesses as long as no other guess was made; see guess
	size    int64
}

// timedLease is a lease that can use a clock reading of its caller. Only leases that measure time
// with package elapsed have the method.
type timedLease interface {
	ValidAt(ctx context.Context, now elapsed.Instant) bool
}

const never = math.MaxInt64

// newEntry returns an entry for id, or nil if it cannot be kept.
func (t *Table) newEntry(d *digest, by Authenticator, id *Identity, k *Keep, most time.Duration) *entry {
	e := &entry{digest: *d, by: by, id: *id, lease: k.Lease, clock: k.Clock, check: k.Check, until: never}
	e.timed, _ = k.Lease.(timedLease)
	e.from = math.MinInt64
	if !k.From.IsZero() {
		e.from = nanoseconds(k.From)
	}
	e.ends = t.elapsed.Now() + most
	for _, end := range [...]time.Time{k.Until, id.Expires} {
		if !end.IsZero() {
			e.until = min(e.until, nanoseconds(end))
		}
	}
	var ok bool
	e.handed = handed{user: id.User, credential: id.Credential}
	if u, ok := keptUser(id.User); ok {
		e.handed.user = u
	}
	e.id.handed = &e.handed
	e.id.Roles, e.id.Scopes, e.id.AMR = own(id.Roles), own(id.Scopes), own(id.AMR)
	if e.id.User, ok = keptUser(id.User); !ok {
		return nil
	}
	if e.id.Credential, ok = keptCredential(id.Credential); !ok {
		return nil
	}
	e.size = sizeOf(id, k.Size)
	return e
}

// sizeOf estimates the memory of an entry. User and Credential count twice, because permissions and
// handlers have a copy each.
func sizeOf(id *Identity, beside int) int64 {
	if beside <= 0 {
		beside = 500
	}
	n := int64(unsafe.Sizeof(entry{})) + 16 + 2*int64(beside)
	n += int64(len(id.Subject) + len(id.Client) + len(id.Issuer) + len(id.ACR))
	for _, list := range [...][]string{id.Roles, id.Scopes, id.AMR, id.Actors()} {
		for _, s := range list {
			n += int64(len(s)) + 16
		}
	}
	return n
}

// nanoseconds returns the time since 1970. It returns never, or the smallest value, for times out
// of range.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case s > math.MaxInt64/int64(time.Second)-1:
		return never
	case s < math.MinInt64/int64(time.Second)+1:
		return math.MinInt64
	}
	return t.UnixNano()
}

// holds reports whether the entry can be used for a request with that context.
func (e *entry) holds(ctx context.Context, t *Table) bool { return e.holdsAt(ctx, t, elapsed.Read()) }

func (e *entry) holdsAt(ctx context.Context, t *Table, now elapsed.Instant) bool {
	if e.until != never || e.from != math.MinInt64 {
		var wall int64
		if e.clock != nil {
			wall = nanoseconds(e.clock())
		} else {
			wall = t.wall.At(now)
		}
		if wall >= e.until || wall < e.from {
			return false
		}
	}
	if t.elapsed.At(now) >= e.ends {
		return false
	}
	if e.ended() {
		return false
	}
	if e.timed != nil {
		return e.timed.ValidAt(ctx, now)
	}
	return e.lease.Valid(ctx)
}
