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

// Cell is one count of a Limiter: Limit units at once, and one more each Window/Limit (the
// generic cell rate algorithm).
type Cell struct {
	// Key names what is counted. It is a MAC, so that a limiter sees no address.
	Key    [16]byte
	Limit  int
	Window time.Duration
	// Shared marks one of the few cells that everybody shares, which make no room for others.
	Shared bool
}

// Limiter counts requests. It is safe for concurrent use.
type Limiter interface {
	// Take takes one unit of every cell, or none. It returns 0 if it took them, and else how
	// long until it would. now is the caller's clock; a limiter that several processes share
	// uses one of its own.
	Take(ctx context.Context, now time.Time, cells []Cell) (wait time.Duration, err error)
}

// Limits bound what callers that proved nothing, such as anyone who knows a public client's ID,
// can make the server store. Each caller is counted by client and by network: the address
// (IPv4 /32, IPv6 /64) and two wider networks (/28 and /24, /56 and /48). An IPv4 /16 or IPv6
// /32 gets at most a quarter of what all share, and another quarter is a reserve for networks
// that ask rarely. Nil means these defaults.
type Limits struct {
	// Limiter counts; nil counts in the memory of this process, where each replica allows
	// the limits. If it fails, requests are counted in memory.
	Limiter Limiter
	// MaxPending is how many records anonymous callers may have pending in all: device grants
	// (three quarters) and pushed requests (one quarter). 0 is 10,000. A public client has at
	// most a quarter of those, so that no client stops the others; a client that an
	// administrator registered and that authenticates may have as many of its own. A record
	// waits for Options.DeviceTTL or, if it was pushed, for a minute.
	//
	// Confidential clients that registered themselves (package registration), unless Trusted,
	// have as many together as public ones, with ten times the limits of networks, and each
	// may authenticate by private_key_jwt an eighth of MaxPending times at once, and a quarter
	// in five minutes. The same holds for opaque tokens of the client's own, in
	// Options.AccessTTL; all such clients together get MaxPending of them. An address gets 60 of
	// these tokens a minute and 600 an hour, signed ones too; the two wider networks 900 and 1,200.
	MaxPending int
	// MaxRegistrations is how many clients may register in a day, in all; 0 is 1,000.
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

// work is something that a request makes the server store, with the limits of one network.
type work struct {
	name string
	// share is how many quarters of Limits.MaxPending it may have.
	share int
	// minute and hour are how much an address may ask for, mid and net what the two wider
	// networks may; 0 is no limit.
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
	// polls is how often a device code may be polled in a minute before the store is no
	// longer asked. The protocol's own interval is 5 seconds.
	polls = 30
	// silentCodes is how many codes a user may get in an hour for one client without a page,
	// half of them at once; beyond, the user is asked. Any site can make a browser get them.
	silentCodes = 120
	// userCodes is how many codes a user may get in an hour by pages. Only the user sends those.
	userCodes = 600
)

// cells returns the cells of a work for a request, and more.
func (s *Server) cells(r *http.Request, w work, more ...Cell) []Cell {
	names := networks(s.opts.Proxies.ClientAddr(r))
	for i, limits := range []rates{w.address, w.mid, w.net} {
		level := string([]byte{'0' + byte(i)})
		more = append(more,
			Cell{Key: s.cellKey(w.name, "minute", level, names[i]), Limit: limits.minute, Window: time.Minute},
			Cell{Key: s.cellKey(w.name, "hour", level, names[i]), Limit: limits.hour, Window: time.Hour})
	}
	return more
}

// networks returns the address as it is counted, with the two networks around it.
func networks(a netip.Addr) [3]string {
	return [3]string{network.Source.Name(a), network.Block.Name(a), network.Net.Name(a)}
}

// bound is a cell that keeps what is stored for a lifetime below most: half at once, and the
// other half while the first expires.
func bound(key [16]byte, most int, lifetime time.Duration, shared bool) Cell {
	return Cell{Key: key, Limit: max(most/2, 1), Window: lifetime, Shared: shared}
}

// provesNothing reports a client that anybody can be, or can make: a public one, or one that
// registered itself.
func provesNothing(c storage.Client) bool {
	return c.Public() || !c.Registration.IsZero() && !c.Trusted
}

// wide is how many times the limit of a network a confidential client that registered itself
// may have: one address serves all of its users.
const wide = 10

// times returns w with n times the limits of networks.
func (w work) times(n int) work {
	for _, r := range []*rates{&w.address, &w.mid, &w.net} {
		r.minute, r.hour = r.minute*n, r.hour*n
	}
	return w
}

// admitPending counts something that a client makes wait for a lifetime. A client that proves
// nothing is counted by network, by client and with all others of its kind; another one that
// authenticated is counted only by itself.
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
	if !c.Public() { // in counts of their own, so that neither kind stops the other
		kind, own, w = "all registered", "registered", w.times(wide)
	}
	return s.admitShared(r, w,
		pool{[]string{w.name, own, c.ID}, most / 4, lifetime, false},
		pool{[]string{w.name, kind}, most, lifetime, true})
}

// admitNote counts the notes of used assertions of a client that registered itself: each
// authentication writes one.
func (s *Server) admitNote(ctx context.Context, c storage.Client) error {
	if s.opts.Limits == nil || !provesNothing(c) {
		return nil
	}
	return s.admit(ctx, "", bound(s.cellKey("assertion", c.ID), s.opts.Limits.MaxPending/4, assertionTTL, false))
}

// AdmitRegistration counts a client that registers itself. It returns an *oauth2.Error with
// status 429 over the limit.
func (s *Server) AdmitRegistration(r *http.Request) error {
	if s.opts.Limits == nil {
		return nil
	}
	return s.admitShared(r, workRegister, pool{[]string{workRegister.name, "all"}, s.opts.Limits.MaxRegistrations, 24 * time.Hour, true})
}

// admitOwn counts the tokens that a client which registered itself gets for itself: by network, since
// one caller can register many clients, and those that are stored by client and in all too.
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

// AdmitApproval counts a code that a user gets by a page: 600 an hour, half of them at once. It
// returns an *oauth2.Error with status 429 over the limit.
func (s *Server) AdmitApproval(ctx context.Context, subject string) error {
	return s.admitUser(ctx, "code", subject, userCodes, time.Hour)
}

// AdmitSilent counts a code that a user gets for a client without a page: 120 an hour, half of them
// at once. It returns false over the limit; show the page then. Any site can make a browser
// request such codes, so they must not use up the limit of AdmitApproval.
func (s *Server) AdmitSilent(ctx context.Context, subject, client string) bool {
	return s.admitUser(ctx, "silent code", subject+"\x00"+client, silentCodes, time.Hour) == nil
}

// clientChanges is how often a client may change or delete its own registration in an hour,
// half of that at once. Each change makes caches forget what they know of the client.
const clientChanges = 12

// AdmitChange counts a change that a client makes to its own registration. It returns an
// *oauth2.Error with status 429 over the limit.
func (s *Server) AdmitChange(r *http.Request, c storage.Client) error {
	if s.opts.Limits == nil {
		return nil
	}
	own := bound(s.cellKey(workChange.name, "client", c.ID), clientChanges, time.Hour, false)
	return s.admit(r.Context(), workChange.name, s.cells(r, workChange, own)...)
}

// admitUser counts something that a logged-in user makes the server store.
func (s *Server) admitUser(ctx context.Context, what, subject string, most int, window time.Duration) error {
	if s.opts.Limits == nil {
		return nil
	}
	return s.admit(ctx, what, bound(s.cellKey("user", what, subject), most, window, false))
}

// admit takes a unit of each cell, or refuses with 429.
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

// fallback reports that the limiter failed, once until it works again.
func (s *Server) fallback(ctx context.Context, err error) {
	switch {
	case err == nil:
		s.fellBack.Store(false)
	case ctx.Err() == nil && s.fellBack.CompareAndSwap(false, true):
		s.Notify(ctx, audit.Event{Kind: audit.LimitFallback})
	}
}

// cellKey names a cell by its texts, each with its length before it.
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
	if o.Keys != nil { // replicas that share a limiter agree on its names
		_, s.cellMAC = o.Keys.Newest(keys.ThrottleNames)
		return nil
	}
	_, err = io.ReadFull(o.Rand, s.cellMAC[:])
	return err
}
