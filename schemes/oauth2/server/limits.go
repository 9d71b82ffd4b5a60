package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// Cell is a counter of a Limiter. It allows Limit units immediately, and one more after each
// Window/Limit (the generic cell rate algorithm).
type Cell struct {
	// Key names what is counted. It is a MAC, so that a limiter does not receive addresses.
	Key    [16]byte
	Limit  int
	Window time.Duration
	// Shared is true for the few cells that all callers share. A limiter must not evict them.
	Shared bool
}

// Limiter counts requests. It must be safe for concurrent use.
type Limiter interface {
	// Take takes one unit of every cell, or none. It returns 0 if it took the units, and otherwise
	// the time until they are available. now is the caller's clock; a limiter that several
	// processes share uses its own clock.
	Take(ctx context.Context, now time.Time, cells []Cell) (wait time.Duration, err error)
}

// Limits limit what the server stores for unauthenticated callers, such as anyone who knows a
// public client's ID. Each request is counted by client and by network: the address (IPv4 /32, IPv6
// /64) and two wider networks (/28 and /24, /56 and /48). An IPv4 /16 or IPv6 /32 gets at most a
// quarter of the limits that all callers share. Another quarter is a reserve for networks that send
// few requests. Nil means the defaults.
type Limits struct {
	// Limiter counts requests. Nil counts in the memory of this process, so each process has its
	// own limits. If the limiter fails, requests are counted in memory. To share the limits between
	// processes, use [SharedLimiter].
	Limiter Limiter
	// MaxPending is the maximum number of pending records of all anonymous callers together: device
	// grants (three quarters) and pushed requests (one quarter). 0 means 10,000; the range is 32 to
	// 100,000,000. A device grant is pending for Options.DeviceTTL, and a pushed request for a
	// minute.
	//
	//   - A public client gets at most a quarter of these records, so that no client can block the
	//     others.
	//   - A client that an administrator registered and that authenticates gets MaxPending records
	//     of its own.
	//   - Confidential clients that registered themselves (package registration) and are not
	//     Trusted share a separate number of the same size, with ten times the limits per network.
	//   - Each of these clients may authenticate by private_key_jwt MaxPending/8 times immediately,
	//     and MaxPending/4 times in five minutes. By the client credentials grant, it gets at most
	//     MaxPending/4 opaque tokens in each Options.AccessTTL, half of them immediately. All such
	//     clients together get at most MaxPending.
	//   - The client credentials grants of these clients are also limited by network, for opaque
	//     and signed tokens: 60 per minute and 600 per hour for an address, 900 and 1,200 per hour
	//     for the two wider networks.
	MaxPending int
	// MaxRegistrations is the maximum number of clients that register per day, in total. 0 means
	// 1,000; the range is 2 to 100,000,000.
	MaxRegistrations int
}

func (l *Limits) check() (*Limits, error) {
	c := Limits{}
	if l != nil {
		c = *l
	}
	if c.MaxPending == 0 {
		c.MaxPending = 10_000
	}
	if c.MaxRegistrations == 0 {
		c.MaxRegistrations = 1_000
	}
	if c.MaxPending < 32 || c.MaxPending > 100_000_000 || c.MaxRegistrations < 2 || c.MaxRegistrations > 100_000_000 {
		return nil, errors.New("server: New: Limits: MaxPending (32 to 100,000,000) or MaxRegistrations (2 to 100,000,000) out of range")
	}
	return &c, nil
}

// work is something that a request makes the server store, with the limits per network.
type work struct {
	name string
	// share is its share of Limits.MaxPending, in quarters.
	share int
	// address, mid and net are the limits of an address and of the two wider networks.
	address, mid, net rates
}

type rates = struct{ minute, hour int }

var (
	workDevice   = work{"device", 3, rates{5, 30}, rates{10, 45}, rates{20, 60}}
	workPush     = work{"push", 1, rates{30, 300}, rates{60, 600}, rates{120, 1200}}
	workRegister = work{"register", 0, rates{5, 20}, rates{8, 30}, rates{10, 40}}
	workOwn      = work{"own", 4, rates{60, 600}, rates{90, 900}, rates{120, 1200}}
	workChange   = work{"change", 0, rates{10, 60}, rates{15, 90}, rates{20, 120}}
)

const (
	// polls is the maximum number of polls per device code and minute that reach the store. The
	// protocol's own interval is 5 seconds.
	polls = 30
	// silentCodes is the maximum number of codes per user, client and hour without a page, half of
	// them immediately. Above it the page is shown. Any site can make a browser request such codes.
	silentCodes = 120
	// userCodes is the maximum number of codes per user and hour with a page. Only the user can
	// send these forms.
	userCodes = 600
)

// cells returns the cells of a work for a request, followed by more.
func (s *Server) cells(r *http.Request, w work, more ...Cell) []Cell {
	return s.cellsOf(s.opts.Proxies.ClientAddr(r), w, more...)
}

// cellsOf is cells for a client address.
func (s *Server) cellsOf(addr netip.Addr, w work, more ...Cell) []Cell {
	names := networks(addr)
	for i, limits := range []rates{w.address, w.mid, w.net} {
		level := string([]byte{'0' + byte(i)})
		more = append(more,
			Cell{Key: s.cellKey(w.name, "minute", level, names[i]), Limit: limits.minute, Window: time.Minute},
			Cell{Key: s.cellKey(w.name, "hour", level, names[i]), Limit: limits.hour, Window: time.Hour})
	}
	return more
}

// networks returns the names of the address and of the two networks around it, as they are counted.
func networks(a netip.Addr) [3]string {
	return [3]string{network.Source.Name(a), network.Block.Name(a), network.Net.Name(a)}
}

// bound returns a cell that limits the number of records with a lifetime to most: half of them
// immediately, and the other half while the first ones expire.
func bound(key [16]byte, most int, lifetime time.Duration, shared bool) Cell {
	return Cell{Key: key, Limit: max(most/2, 1), Window: lifetime, Shared: shared}
}

// provesNothing reports whether anyone can be or create the client: a public client, or one that
// registered itself.
func provesNothing(c storage.Client) bool {
	return c.Public() || !c.Registration.IsZero() && !c.Trusted
}

// wide is the factor of the network limits for confidential clients that registered themselves,
// because one address serves all of their users.
const wide = 10

// times returns w with n times the limits of networks.
func (w work) times(n int) work {
	for _, r := range []*rates{&w.address, &w.mid, &w.net} {
		r.minute, r.hour = r.minute*n, r.hour*n
	}
	return w
}

// admitPending counts a record that a client makes wait for a lifetime. A client for which
// provesNothing is true is counted by network, by client, and together with all others of its kind.
// Any other client is counted only by itself.
func (s *Server) admitPending(r *http.Request, w work, c storage.Client, lifetime time.Duration) error {
	if s.opts.Limits == nil {
		return nil
	}
	most := s.opts.Limits.MaxPending
	if !provesNothing(c) {
		return s.admit(r.Context(), "", bound(s.cellKey(w.name, "client", c.ID), most, lifetime, false))
	}
	most = most * w.share / 4
	kind, own := "all", "public"
	if !c.Public() { // counted separately, so that neither kind blocks the other
		kind, own, w = "all registered", "registered", w.times(wide)
	}
	return s.admitShared(r, w,
		pool{[]string{w.name, own, c.ID}, most / 4, lifetime, false},
		pool{[]string{w.name, kind}, most, lifetime, true})
}

// admitNote counts the recorded assertions of a client that registered itself, because each
// authentication writes one.
func (s *Server) admitNote(ctx context.Context, c storage.Client) error {
	if s.opts.Limits == nil || !provesNothing(c) {
		return nil
	}
	return s.admit(ctx, "", bound(s.cellKey("assertion", c.ID), s.opts.Limits.MaxPending/4, assertionTTL, false))
}

// AdmitRegistration counts a client that registers itself. Above the limit it returns an
// *oauth2.Error with status 429.
func (s *Server) AdmitRegistration(r *http.Request) error {
	if s.opts.Limits == nil {
		return nil
	}
	return s.admitShared(r, workRegister, pool{[]string{workRegister.name, "all"}, s.opts.Limits.MaxRegistrations, 24 * time.Hour, true})
}

// admitOwn counts the tokens that a client which registered itself gets for itself. They are
// counted by network, because one caller can register many clients. Tokens that are stored are also
// counted by client and in total.
func (s *Server) admitOwn(r *http.Request, c storage.Client) error {
	if s.opts.Limits == nil || !provesNothing(c) {
		return nil
	}
	if s.apiOpts.SignedAccess != nil {
		return s.admit(r.Context(), workOwn.name, s.cells(r, workOwn)...)
	}
	most := s.opts.Limits.MaxPending
	if err := s.admit(r.Context(), "", bound(s.cellKey(workOwn.name, c.ID), most/4, s.opts.AccessTTL, false)); err != nil {
		return err
	}
	return s.admitShared(r, workOwn, pool{[]string{workOwn.name, "all"}, most, s.opts.AccessTTL, true})
}

// clientChanges is how often a client may change or delete its own registration per hour, half of
// that immediately. Each change makes caches drop the client's entries.
const clientChanges = 12

// AdmitChange counts a change that a client makes to its own registration. Above the limit it
// returns an *oauth2.Error with status 429.
func (s *Server) AdmitChange(r *http.Request, c storage.Client) error {
	if s.opts.Limits == nil {
		return nil
	}
	own := bound(s.cellKey(workChange.name, "client", c.ID), clientChanges, time.Hour, false)
	return s.admit(r.Context(), workChange.name, s.cells(r, workChange, own)...)
}

// globalRevocations is how many accounts a client may log out per hour, at most half of them at
// once.
const globalRevocations = 1000

// AdmitGlobalRevocation counts a request of a client that logs out an account everywhere; see
// package globalrevocation. Above the limit it returns an *oauth2.Error with status 429.
func (s *Server) AdmitGlobalRevocation(r *http.Request, client string) error {
	if s.opts.Limits == nil {
		return nil
	}
	return s.admit(r.Context(), "global revocation", bound(s.cellKey("global revocation", client), globalRevocations, time.Hour, false))
}

// admit takes a unit of each cell, or returns an error with status 429.
func (s *Server) admit(ctx context.Context, what string, cells ...Cell) error {
	now := s.apiOpts.Clock()
	limiter := s.opts.Limits.Limiter
	var wait time.Duration
	err := errors.New("none")
	if limiter != nil {
		wait, err = limiter.Take(ctx, now, cells)
		s.fallback(ctx, err)
		if err != nil && ctx.Err() == nil {
			s.opts.Logger.LogAttrs(ctx, slog.LevelError, "limiter failed; counting in memory", slog.String("scheme", "oauth2"), slog.Any("error", err))
		}
	}
	if err != nil {
		wait = s.counts.take(now, cells)
	}
	if wait <= 0 {
		return nil
	}
	code := "temporarily_unavailable"
	if what == workDevice.name || what == "poll" {
		code = "slow_down"
	}
	return &oauth2.Error{Status: http.StatusTooManyRequests, Code: code, Description: "Too many requests.", RetryAfter: wait}
}

// fallback reports once that the limiter failed, until it works again.
func (s *Server) fallback(ctx context.Context, err error) {
	switch {
	case err == nil:
		s.fellBack.Store(false)
	case ctx.Err() == nil && s.fellBack.CompareAndSwap(false, true):
		s.Notify(ctx, audit.Event{Kind: audit.LimitFallback})
	}
}

// cellKey returns the key of a cell for its texts, each preceded by its length.
func (s *Server) cellKey(texts ...string) (key [16]byte) {
	h := hmac.New(sha256.New, s.cellMAC[:])
	for _, t := range append(texts, s.issuer) {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(t)))
		_, _ = h.Write(size[:])
		_, _ = io.WriteString(h, t)
	}
	copy(key[:], h.Sum(nil))
	return key
}

// limit prepares the limits.
func (s *Server) limit() (err error) {
	o := &s.opts
	if o.InsecureNoLimits {
		o.Limits = nil
		return nil
	}
	if o.Limits, err = o.Limits.check(); err != nil {
		return err
	}
	if o.Keys != nil { // so that processes which share a limiter use the same keys
		_, s.cellMAC = o.Keys.Newest(keys.ThrottleNames)
		return nil
	}
	_, err = io.ReadFull(o.Rand, s.cellMAC[:])
	return err
}
