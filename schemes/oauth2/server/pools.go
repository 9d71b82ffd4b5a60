package server

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// pool is a bound that many callers share: most records in a lifetime. No caller can use it up
// for the others: a wide network (IPv4 /16, IPv6 /32) gets at most a quarter of it, and another
// quarter is a reserve for networks that ask rarely.
type pool struct {
	name     []string
	most     int
	lifetime time.Duration
	shared   bool // one of the few cells that make no room for others
}

// quiet is how often a network may use a reserve in an hour: an IPv4 /24 or IPv6 /48 once, a
// wide network 8 times.
const (
	quietNet  = 1
	quietWide = 8
)

func (s *Server) poolCell(p pool, part string, most int, shared bool, more ...string) Cell {
	key := s.cellKey(append(append([]string{"pool", part}, p.name...), more...)...)
	return bound(key, most, p.lifetime, shared)
}

// admitShared counts a request of a caller that proved nothing: by network, and in pools. Where a
// pool is used up, a network that asks rarely gets a unit of its reserve. A Limiter does not say
// which cell refused, and to ask it for the network alone first would take units that it cannot
// give back. So a refusal by the network alone is asked for twice, and refused twice.
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

// wideNetwork is what one provider, or one large customer of it, has.
func wideNetwork(a netip.Addr) string { return network.Vast.Name(a) }
