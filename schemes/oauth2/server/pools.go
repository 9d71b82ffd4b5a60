package server

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// pool is a limit that many callers share: most records per lifetime. No caller can exhaust it for
// the others. A wide network (IPv4 /16, IPv6 /32) gets at most a quarter of it, and another quarter
// is a reserve for networks that send few requests.
type pool struct {
	name     []string
	most     int
	lifetime time.Duration
	shared   bool // see Cell.Shared
}

// quietNet and quietWide are how often a network may use a reserve per hour: an IPv4 /24 or IPv6
// /48 once, a wide network 8 times.
const (
	quietNet  = 1
	quietWide = 8
)

func (s *Server) poolCell(p pool, part string, most int, shared bool, more ...string) Cell {
	key := s.cellKey(append(append([]string{"pool", part}, p.name...), more...)...)
	return bound(key, most, p.lifetime, shared)
}

// admitShared counts a request of an unauthenticated caller, by network and in pools. If a pool is
// exhausted, a network that sends few requests gets a unit of the reserve. A Limiter does not
// report which cell rejected the request, and checking the network first would take units that
// cannot be returned. So a request that the network limit rejects is checked, and rejected, twice.
func (s *Server) admitShared(r *http.Request, w work, pools ...pool) error {
	addr := s.opts.Proxies.ClientAddr(r)
	wide := wideNetwork(addr)
	usual, reserve := s.cells(r, w), s.cells(r, w)
	for _, p := range pools {
		usual = append(usual,
			s.poolCell(p, "usual", p.most*3/4, p.shared),
			s.poolCell(p, "wide", p.most/4, false, wide))
		reserve = append(reserve, s.poolCell(p, "reserve", p.most/4, p.shared))
	}
	err := s.admit(r.Context(), w.name, usual...)
	var refused *oauth2.Error
	if !errors.As(err, &refused) {
		return err
	}
	reserve = append(reserve,
		Cell{Key: s.cellKey("pool", "quiet", w.name, networks(addr)[2]), Limit: quietNet, Window: time.Hour},
		Cell{Key: s.cellKey("pool", "quiet wide", w.name, wide), Limit: quietWide, Window: time.Hour})
	if s.admit(r.Context(), w.name, reserve...) == nil {
		return nil
	}
	return refused
}

// wideNetwork returns the name of the network of a provider or of one of its large customers.
func wideNetwork(a netip.Addr) string { return network.Vast.Name(a) }
