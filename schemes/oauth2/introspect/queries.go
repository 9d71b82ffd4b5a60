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

// ErrBusy is the error for a token that is not cached while a limit forbids queries to the issuer.
// Either too many queries are running (Options.MaxQueries), or too many queries found no active
// token (Options.UnknownRate). The middleware responds with 503.
var ErrBusy = errors.New("introspect: too many queries to the issuer")

// queries limits the queries to the issuer. Anyone can send random tokens, which are all different,
// so a cache does not help. If the issuer responds slowly to them, a few clients could keep all
// queries busy. So there are three pools of slots, used in this order:
//
//   - Five eighths for everyone: a network gets at most a quarter of all slots, and an IPv4 /16 or
//     IPv6 /32 half of them.
//   - A quarter for networks that have no running query, and no query for an inactive token in this
//     second and the one before.
//   - The rest for networks that sent an active token last.
//
// In the last two pools a network, and an IPv4 /16 or IPv6 /32, gets at most a quarter.
type queries struct {
	vain *flood.Guard
	time *elapsed.Clock

	mu       sync.Mutex
	pools    [3]pool
	underWay map[netip.Prefix]int // running queries by network, in all pools
}

// pool is a number of queries that can run concurrently.
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

// slot is a place in a pool. The networks are the invalid Prefix for an address that does not
// identify a client.
type slot struct {
	pool      int
	net, vast netip.Prefix
}

// newQueries returns the pools. given is Options.Clock; nil means the system clock.
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

// begin admits a query, or returns ErrBusy. It does not wait, because waiting requests would pile
// up in this process.
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

// end ends a query that begin admitted. active reports that the issuer reported the token as
// active.
func (q *queries) end(ctx context.Context, at slot, active bool) {
	q.mu.Lock()
	q.pools[at.pool].give(at)
	decrement(q.underWay, at.net)
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
	decrement(p.nets, at.net)
	decrement(p.vasts, at.vast)
}

// decrement decrements the count of a network and removes the entry at 0.
func decrement(m map[netip.Prefix]int, of netip.Prefix) {
	if m[of]--; m[of] <= 0 {
		delete(m, of)
	}
}
