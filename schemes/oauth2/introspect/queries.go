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
	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/storage"
)

// ErrBusy is the fault of a token that is not cached and that the issuer is not queried about,
// because too many queries run or found nothing: see Options.UnknownRate and MaxQueries. The
// middleware answers with 503.
var ErrBusy = errors.New("introspect: too many queries to the issuer")

// queries bounds the queries to the issuer. Anyone can send a token that was made up, and each is
// another one, so no cache helps. An issuer can be slow to answer for these: then the queries of a few
// strangers run all the time. So there are three pools of slots, in this order:
//
//   - everybody's, five eighths: a network has at most a quarter of all slots, and an IPv4 /16 or
//     IPv6 /32 half of them;
//   - a quarter, for networks that have no query under way, and no vain one in this second and the one
//     before;
//   - the rest, for networks that sent an active token last.
//
// Of the last two an IPv4 /16 or IPv6 /32 has at most a quarter, and so has a network.
type queries struct {
	vain *flood.Guard
	time *elapsed.Clock

	mu       sync.Mutex
	pools    [3]pool
	underWay map[netip.Prefix]int // by network, in all pools
}

// pool is a number of queries that may run at the same time.
type pool struct {
	most, ofNet, ofVast int
	n                   int
	nets, vasts         map[netip.Prefix]int
}

const (
	everybodys = iota
	quiets
	knowns
)

// slot is a place in a pool; networks are the invalid Prefix for an address that says nothing about the
// client.
type slot struct {
	pool      int
	net, vast netip.Prefix
}

// newQueries has the clock as it was given: nil is the system's.
func newQueries(o Options, given func() time.Time) *queries {
	most := cmp.Or(o.MaxQueries, 64)
	q := &queries{
		vain: flood.New(cmp.Or(o.UnknownRate, 200), cmp.Or(o.UnknownPerNet, 20)), time: elapsed.New(given),
		underWay: make(map[netip.Prefix]int),
	}
	quiet, known := most/4, most/8
	for i, p := range [...]pool{
		everybodys: {most: most - quiet - known, ofNet: max(most/4, 1), ofVast: max(most/2, 1)},
		quiets:     {most: quiet, ofNet: 1, ofVast: max(quiet/4, 1)},
		knowns:     {most: known, ofNet: max(known/4, 1), ofVast: max(known/4, 1)},
	} {
		p.nets, p.vasts = make(map[netip.Prefix]int), make(map[netip.Prefix]int)
		q.pools[i] = p
	}
	return q
}

// begin admits a query, or returns ErrBusy. It does not wait: a caller that waits is one more that
// the process holds.
func (q *queries) begin(ctx context.Context) (slot, error) {
	addr := storage.ClientAddr(ctx)
	at := slot{net: flood.NetOf(addr)}
	if at.net.IsValid() {
		at.vast = network.Vast.Of(addr)
	}
	now := q.time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	busy := q.underWay[at.net]
	if q.vain.FullWith(ctx, now, busy) {
		return slot{}, ErrBusy
	}
	if !q.pools[everybodys].take(at) {
		switch quiet, known := q.vain.Standing(ctx, now); {
		case quiet && busy == 0 && q.pools[quiets].take(at):
			at.pool = quiets
		case quiet && known && q.pools[knowns].take(at):
			at.pool = knowns
		default:
			return slot{}, ErrBusy
		}
	}
	if at.net.IsValid() {
		q.underWay[at.net]++
	}
	return at, nil
}

// end ends a query that begin admitted. active reports that the issuer knew the token.
func (q *queries) end(ctx context.Context, at slot, active bool) {
	q.mu.Lock()
	q.pools[at.pool].give(at)
	less(q.underWay, at.net)
	if active {
		q.vain.Known(ctx)
	} else {
		q.vain.Unknown(ctx, q.time.Now()) // before another query of the network begins
	}
	q.mu.Unlock()
}

func (p *pool) take(at slot) bool {
	if p.n >= p.most || at.net.IsValid() && (p.nets[at.net] >= p.ofNet || p.vasts[at.vast] >= p.ofVast) {
		return false
	}
	p.n++
	if at.net.IsValid() {
		p.nets[at.net]++
		p.vasts[at.vast]++
	}
	return true
}

func (p *pool) give(at slot) {
	p.n--
	less(p.nets, at.net)
	less(p.vasts, at.vast)
}

// less takes one from what a network has, and keeps no entry for none.
func less(m map[netip.Prefix]int, of netip.Prefix) {
	if m[of]--; m[of] <= 0 {
		delete(m, of)
	}
}
