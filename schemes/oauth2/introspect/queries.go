package introspect

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/flood"
	"github.com/vestibule-auth/vestibule/storage"
)

// ErrBusy is the fault of a token that is not cached and that the issuer is not queried about,
// because too many queries run or found nothing: see Options.UnknownRate and MaxQueries. The
// middleware answers with 503.
var ErrBusy = errors.New("introspect: too many queries to the issuer")

// queries bounds the queries to the issuer. Anyone can send a token that was made up, and each is
// another one, so no cache helps.
type queries struct {
	vain     *flood.Guard
	time     *elapsed.Clock
	most, of int // at the same time: in all, and of one network

	mu   sync.Mutex
	n    int
	nets map[netip.Prefix]int
}

// newQueries has the clock as it was given: nil is the system's.
func newQueries(o Options, given func() time.Time) *queries {
	most := cmp.Or(o.MaxQueries, 64)
	return &queries{
		vain: flood.New(cmp.Or(o.UnknownRate, 200), cmp.Or(o.UnknownPerNet, 20)), time: elapsed.New(given),
		most: most, of: max(most/4, 1), nets: make(map[netip.Prefix]int),
	}
}

// begin admits a query, or returns ErrBusy. It does not wait: a caller that waits is one more that
// the process holds.
func (q *queries) begin(ctx context.Context) error {
	if q.vain.Full(ctx, q.time.Now()) {
		return ErrBusy
	}
	net := flood.NetOf(storage.ClientAddr(ctx))
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n >= q.most || net.IsValid() && q.nets[net] >= q.of {
		return ErrBusy
	}
	q.n++
	q.nets[net]++
	return nil
}

// end ends a query that begin admitted. active reports that the issuer knew the token.
func (q *queries) end(ctx context.Context, active bool) {
	net := flood.NetOf(storage.ClientAddr(ctx))
	q.mu.Lock()
	q.n--
	if q.nets[net]--; q.nets[net] <= 0 {
		delete(q.nets, net)
	}
	q.mu.Unlock()
	if active {
		q.vain.Known(ctx)
	} else {
		q.vain.Unknown(ctx, q.time.Now())
	}
}
