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
	maxVisitorCells    = 100_000
)

// visitorNetworks is how many times the limit of an address the networks around it have.
var visitorNetworks = [...]struct {
	level network.Level
	times int
}{{network.Source, 1}, {network.Block, 4}, {network.Net, 16}, {network.Vast, 256}}

// visitors counts new sessions in which nobody is logged in. It counts in memory.
type visitors struct {
	perHour int // NoLimit: any number
	clock   *elapsed.Clock
	mu      sync.Mutex
	cells   *rate.Cells
}

func newVisitors(perHour int, clock func() time.Time) *visitors {
	return &visitors{perHour: perHour, clock: elapsed.New(clock), cells: rate.New(maxVisitorCells)}
}

// take counts a new session of the request's caller, or returns a 429.
func (v *visitors) take(r *http.Request, proxies authn.TrustedProxies) error {
	if v.perHour == NoLimit {
		return nil
	}
	var cells []rate.Cell
	who := ""
	if id := authn.FromContext(r.Context()); id.Authenticated() {
		cells = v.cell(cells, fmt.Sprintf("%q %q %q", id.Issuer, id.Subject, id.Client), 1)
		who = "known " // strangers at the same address do not use up what users have
	}
	a := proxies.ClientAddr(r)
	for _, n := range visitorNetworks {
		cells = v.cell(cells, who+n.level.Name(a), n.times)
	}
	now := int64(v.clock.Now())
	v.mu.Lock()
	defer v.mu.Unlock()
	var wait time.Duration
	for i := range cells {
		wait = max(wait, v.cells.Wait(now, &cells[i]))
	}
	if wait > 0 {
		return authn.Throttled(wait)
	}
	for i := range cells {
		v.cells.Take(now, &cells[i])
	}
	return nil
}

// cell appends the count of a name: a tenth of the hour's sessions at once.
func (v *visitors) cell(cells []rate.Cell, name string, times int) []rate.Cell {
	key := sha256.Sum256([]byte(name))
	limit := max(1, v.perHour*times/10)
	return append(cells, rate.Cell{Key: [16]byte(key[:]), Limit: limit, Window: time.Hour / time.Duration(max(1, v.perHour*times)) * time.Duration(limit)})
}
