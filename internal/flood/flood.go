// Package flood bounds what made-up credentials cost: the lookups of a cache and the queries to
// somebody else's issuer.
package flood

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/storage"
)

// Guard decides which lookups of digests that nobody has seen go to the store, when too
// many turn out to be unknown. Strangers do not choose who waits:
//
//   - a network may have perNet unknown digests in a second;
//   - when all together have had max, a network waits unless it has had none in this second
//     and the one before;
//   - those others share a reserve of max/2, so that a flood from ever new networks is
//     bounded too; beyond it only networks go on from which good credentials came before.
//
// The address is that of storage.ClientAddr. A Guard is safe for concurrent use.
type Guard struct {
	max, perNet int

	mu      sync.Mutex
	second  int64 // since the store was opened
	n       int   // Unknown in this second, of those that share max
	reserve int   // taken from the reserve in this second
	nets    map[netip.Prefix]int
	before  map[netip.Prefix]int // those of the second before
	good    map[netip.Prefix]struct{}
	vast    map[netip.Prefix]int // how many good ones an IPv4 /16 or IPv6 /32 has
}

// New returns a Guard with those numbers, which are above 0.
func New(max, perNet int) *Guard { return &Guard{max: max, perNet: perNet} }

const (
	// maxNets bounds how many networks are counted in a second. Others count as unknown
	// ones, which share max.
	maxNets = 1 << 14
	// maxGood bounds how many networks are known to send good credentials.
	maxGood = 1 << 13
)

// NetOf returns the network that an address counts for: an IPv4 /24 or an IPv6 /48. The
// invalid Prefix is an address that says nothing about the client: none, or one of a
// private network, which is most likely a reverse proxy that authn.Options.Proxies should
// name.
func NetOf(a netip.Addr) netip.Prefix {
	a = network.Plain(a)
	if !a.IsValid() || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return netip.Prefix{}
	}
	return network.Net.Of(a)
}

// Full reports whether a lookup has to wait. It is asked once for each lookup.
func (f *Guard) Full(ctx context.Context, now time.Duration) bool { return f.FullWith(ctx, now, 0) }

// FullWith is Full for a network that has so many lookups under way, each of which counts as unknown
// until it has ended.
func (f *Guard) FullWith(ctx context.Context, now time.Duration, underWay int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn(now)
	if f.n < f.max && len(f.nets) == 0 && underWay < f.perNet {
		return false // nothing is unknown: the address need not be looked for
	}
	net := NetOf(storage.ClientAddr(ctx))
	switch n := f.nets[net]; {
	case net.IsValid() && n+underWay >= f.perNet:
		return true
	case f.n < f.max:
		return false
	case !net.IsValid():
		return true
	case n > 0 || f.before[net] > 0:
		return true
	case f.reserve < f.max/2+1:
		f.reserve++
		return false
	}
	_, good := f.good[net]
	return !good
}

// Standing reports whether the network of the client has had nothing unknown in this second and the
// one before, and whether good credentials came from it since it had. An address that says nothing
// about the client has neither.
func (f *Guard) Standing(ctx context.Context, now time.Duration) (quiet, known bool) {
	net := NetOf(storage.ClientAddr(ctx))
	if !net.IsValid() {
		return false, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn(now)
	_, known = f.good[net]
	return f.nets[net] == 0 && f.before[net] == 0, known
}

// Unknown counts a digest that turned out to be unknown.
func (f *Guard) Unknown(ctx context.Context, now time.Duration) {
	net := NetOf(storage.ClientAddr(ctx))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn(now)
	f.n++
	if _, counted := f.nets[net]; net.IsValid() && (counted || len(f.nets) < maxNets) {
		if f.nets == nil {
			f.nets = make(map[netip.Prefix]int)
		}
		f.nets[net]++
		f.forget(net)
	}
}

// Known notes that a good credential came from a network.
func (f *Guard) Known(ctx context.Context) {
	net := NetOf(storage.ClientAddr(ctx))
	if !net.IsValid() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, is := f.good[net]; is {
		return
	}
	if f.good == nil {
		f.good = make(map[netip.Prefix]struct{})
	}
	if len(f.good) >= maxGood {
		f.makeRoom()
	}
	f.good[net] = struct{}{}
	if f.vast == nil {
		f.vast = make(map[netip.Prefix]int)
	}
	f.vast[vastOf(net)]++
}

// makeRoom forgets one of a few networks, in the map's random order: that of the IPv4 /16 or IPv6 /32
// with most of them. Somebody with the many networks of one provider pushes out few of others.
func (f *Guard) makeRoom() {
	const look = 16
	var spare netip.Prefix
	n, most := 0, 0
	for net := range f.good {
		if has := f.vast[vastOf(net)]; has > most {
			spare, most = net, has
		}
		if n++; n == look {
			break
		}
	}
	f.forget(spare)
}

func (f *Guard) forget(net netip.Prefix) {
	if _, is := f.good[net]; !is {
		return
	}
	delete(f.good, net)
	if vast := vastOf(net); f.vast[vast] == 1 {
		delete(f.vast, vast)
	} else {
		f.vast[vast]--
	}
}

func vastOf(net netip.Prefix) netip.Prefix { return network.Vast.Of(net.Addr()) }

// turn begins a new second if it is one.
func (f *Guard) turn(now time.Duration) {
	second := int64(now / time.Second)
	switch {
	case second == f.second:
		return
	case second == f.second+1:
		f.before = f.nets
	default:
		f.before = nil
	}
	f.second, f.n, f.reserve, f.nets = second, 0, 0, nil
}
