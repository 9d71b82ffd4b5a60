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

// entry is an identity that is kept. It does not change.
type entry struct {
	digest  digest
	by      Authenticator
	id      Identity
	handed  handed
	lease   Lease
	timed   timedLease // lease, or nil
	clock   func() time.Time
	check   func(*http.Request) error
	from    int64         // nanoseconds of the wall clock
	until   int64         // likewise
	ends    time.Duration // of Table.elapsed
	guesses *atomic.Uint64
	guessed uint64 // what guesses is while no other guess was made; see guess
	size    int64
}

// timedLease is a lease that can share a reading of the clock. Only one that measures time by
// package elapsed has the method.
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
	e.id.Roles, e.id.Scopes = own(id.Roles), own(id.Scopes)
	if e.id.User, ok = keptUser(id.User); !ok {
		return nil
	}
	if e.id.Credential, ok = keptCredential(id.Credential); !ok {
		return nil
	}
	e.size = sizeOf(id, k.Size)
	return e
}

// sizeOf estimates what an entry takes: permissions and handlers get User and Credential
// each for themselves.
func sizeOf(id *Identity, beside int) int64 {
	if beside <= 0 {
		beside = 500
	}
	n := int64(unsafe.Sizeof(entry{})) + 16 + 2*int64(beside)
	n += int64(len(id.Subject) + len(id.Client) + len(id.Issuer))
	for _, list := range [...][]string{id.Roles, id.Scopes} {
		for _, s := range list {
			n += int64(len(s)) + 16
		}
	}
	return n
}

// nanoseconds is the time since 1970, never for what is too far away.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case s > math.MaxInt64/int64(time.Second)-1:
		return never
	case s < math.MinInt64/int64(time.Second)+1:
		return math.MinInt64
	}
	return t.UnixNano()
}

// holds reports whether an entry can be given to a request with that context.
func (e *entry) holds(ctx context.Context, t *Table) bool {
	now := elapsed.Read()
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
