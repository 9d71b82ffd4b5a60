package session

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/internal/rate"
)

// Sessions in which nobody is logged in cost a row for each request that comes without a cookie.
// So they are limited by the address and the networks around it, and live for a shorter time.
const (
	defaultVisitorIdle = 24 * time.Hour
	defaultVisitors    = 600
	defaultMaxVisitors = 100_000
	minMaxVisitors     = 100
	maxVisitorCells    = 100_000
	// Networks that begin few of them have a reserve: an IPv4 /24 or IPv6 /48, and a /16 or /32.
	quietVisitors, quietVisitorsVast = 3, 30
)

// visitorNetworks is how many times the limit of an address the networks around it have.
var visitorNetworks = [...]struct {
	level network.Level
	times int
}{{network.Source, 1}, {network.Block, 4}, {network.Net, 16}, {network.Vast, 256}}

// visitors counts new sessions in which nobody is logged in. It counts in memory.
type visitors struct {
	perHour int // NoLimit: any number
	most    int // NoLimit: any number
	idle    time.Duration
	clock   *elapsed.Clock
	mu      sync.Mutex
	cells   *rate.Cells
}

func newVisitors(o *Options, clock func() time.Time) *visitors {
	return &visitors{perHour: o.VisitorsPerHour, most: o.MaxVisitors, idle: o.VisitorIdle, clock: elapsed.New(clock), cells: rate.New(maxVisitorCells)}
}

// take counts a new session of the request's caller, or returns a 429.
func (v *visitors) take(r *http.Request, proxies authn.TrustedProxies) error {
	a := proxies.ClientAddr(r)
	var cells []rate.Cell
	who := ""
	if id := authn.FromContext(r.Context()); id.Authenticated() {
		who = "known " // strangers at the same address do not use up what users have
		cells = v.perAddress(cells, fmt.Sprintf("%q %q %q", id.Issuer, id.Subject, id.Client), 1)
	} else if authn.FromAnotherSite(r) {
		who = "another site " // nor does a page of another site what its visitors have
	}
	for _, n := range visitorNetworks {
		cells = v.perAddress(cells, who+n.level.Name(a), n.times)
	}
	n := len(cells)
	vast := network.Vast.Name(a)
	cells = v.inAll(cells, who+"all", 2, true)
	cells = v.inAll(cells, "all "+who+vast, 8, false)
	now := int64(v.clock.Now())
	v.mu.Lock()
	defer v.mu.Unlock()
	wait, last := v.cells.TakeAll(now, cells)
	if wait > 0 && last >= n && a.IsValid() { // the bound of all, or of a provider: the reserve of those that come rarely
		rare := v.inAll(cells[:n:n], who+"reserve", 4, true)
		if rest, _ := v.cells.TakeAll(now, append(rare,
			cell("quiet "+who+network.Net.Name(a), quietVisitors, time.Hour),
			cell("quiet "+who+vast, quietVisitorsVast, time.Hour))); rest == 0 {
			return nil
		}
	}
	if wait > 0 {
		return authn.Throttled(wait)
	}
	return nil
}

// perAddress appends the count of a name: a tenth of the hour's sessions at once.
func (v *visitors) perAddress(cells []rate.Cell, name string, times int) []rate.Cell {
	if v.perHour == NoLimit {
		return cells
	}
	limit := max(1, v.perHour*times/10)
	return append(cells, cell(name, limit, time.Hour/time.Duration(max(1, v.perHour*times))*time.Duration(limit)))
}

// inAll appends a count of a part of MaxVisitors: as many in VisitorIdle, and as many at once.
func (v *visitors) inAll(cells []rate.Cell, name string, part int, shared bool) []rate.Cell {
	if v.most == NoLimit {
		return cells
	}
	x := cell(name, max(1, v.most/part), v.idle)
	x.Shared = shared
	return append(cells, x)
}

func cell(name string, limit int, window time.Duration) rate.Cell {
	key := sha256.Sum256([]byte(name))
	return rate.Cell{Key: [16]byte(key[:]), Limit: limit, Window: window}
}
