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

// A session without a user costs a row for each request without a cookie. Therefore these sessions
// are limited per client address and for the networks around it, and have a shorter idle timeout.
const (
	defaultVisitorIdle = 24 * time.Hour
	defaultVisitors    = 600
	defaultMaxVisitors = 100_000
	minMaxVisitors     = 100
	maxVisitorCells    = 100_000
	// Networks that create few of them have a reserve: per IPv4 /24 or IPv6 /48, and per /16 or
	// /32.
	quietVisitors, quietVisitorsVast = 3, 30
)

// visitorNetworks are the factors by which the limits of the networks around an address are higher.
var visitorNetworks = [...]struct {
	level network.Level
	times int
}{{network.Source, 1}, {network.Block, 4}, {network.Net, 16}, {network.Vast, 256}}

// visitors counts new sessions without a user, in memory.
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

// take counts a new session for the client of the request. It returns an *authn.Error with status
// 429 above a limit.
func (v *visitors) take(r *http.Request, proxies authn.TrustedProxies) error {
	a := proxies.ClientAddr(r)
	var cells []rate.Cell
	who := ""
	if id := authn.FromContext(r.Context()); id.Authenticated() {
		who = "known " // anonymous clients at the same address must not use up the limit of users
		cells = v.perAddress(cells, fmt.Sprintf("%q %q %q", id.Issuer, id.Subject, id.Client), 1)
	} else if authn.FromAnotherSite(r) {
		who = "another site " // a page of another site must not use up the limit of its visitors
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
	if wait > 0 && last >= n && a.IsValid() { // the limit of all clients or of a provider: use the reserve for networks that create few sessions
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

// perAddress appends the count of a name. A tenth of the hourly limit can be used at once.
func (v *visitors) perAddress(cells []rate.Cell, name string, times int) []rate.Cell {
	if v.perHour == NoLimit {
		return cells
	}
	limit := max(1, v.perHour*times/10)
	return append(cells, cell(name, limit, time.Hour/time.Duration(max(1, v.perHour*times))*time.Duration(limit)))
}

// inAll appends a count for a part of MaxVisitors within VisitorIdle. All of it can be used at
// once.
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
