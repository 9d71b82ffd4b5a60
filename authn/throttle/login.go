package throttle

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// DefaultAccount lets a person mistype: 10/m and 30/15m. The wait grows from 6
// seconds to 30, and no answer ever names more. In any 15 minutes an account is
// tried at most 60 times, and 30 times in the long run.
func DefaultAccount() []Rate { return []Rate{{10, time.Minute}, {30, 15 * time.Minute}} }

// DefaultSource is wider, since many people may share an address: 30/m and 300/h.
func DefaultSource() []Rate { return []Rate{{30, time.Minute}, {300, time.Hour}} }

// DefaultGlobal bounds what a flood from everywhere may hash: 1000/m.
func DefaultGlobal() []Rate { return []Rate{{1000, time.Minute}} }

// LoginOptions change a Login; nil is fine.
type LoginOptions struct {
	// Account, Source and Global are the rates for one account, one address (IPv4,
	// or IPv6 /64) and all together. nil is the default; an empty list is no limit.
	Account, Source, Global []Rate
	// Proxies are believed about the client's address.
	Proxies authn.TrustedProxies
	// NameKey is the 32-byte key under which names and addresses are hashed
	// (keys.ThrottleNames); nil draws one for this process, which processes that
	// share a store can not do.
	NameKey Secret
	// DeviceKey is the 32-byte key of device cookies (keys.DeviceCookie); nil sends
	// none. Without them strangers can use up an account's attempts and so keep its
	// owner out while they go on.
	DeviceKey Secret
	// PlainHTTP names the device cookie "device" without Secure, for work on
	// loopback. Otherwise it is "__Host-device". The other name is never read.
	PlainHTTP bool
	// Logger is told, at most once a minute, that the store fails; nil is
	// slog.Default().
	Logger *slog.Logger
	// Clock is time.Now where nil.
	Clock func() time.Time
}

// Login limits logins (RULES L1). It is the authn.LoginLimiter of a password
// checker: each attempt takes one unit of the account, the source and all
// together, as one, before anything is hashed. A success gives these units back
// and resets nothing.
//
// Where the store fails, attempts are counted in this process's memory until it
// answers again: a limiter that fails is never no limiter.
type Login struct {
	store   *resilient
	opts    LoginOptions
	names   namer
	devices *devices // nil: no device cookies
	global  Bucket
}

var _ authn.LoginLimiter = (*Login)(nil)

// NewLogin returns a limiter that counts in store.
func NewLogin(store Store, opts *LoginOptions) (*Login, error) {
	var o LoginOptions
	if opts != nil {
		o = *opts
	}
	if store == nil {
		return nil, errors.New("throttle: a store is needed")
	}
	if o.Account = slices.Clone(o.Account); o.Account == nil {
		o.Account = DefaultAccount()
	}
	if o.Source = slices.Clone(o.Source); o.Source == nil {
		o.Source = DefaultSource()
	}
	if o.Global = slices.Clone(o.Global); o.Global == nil {
		o.Global = DefaultGlobal()
	}
	if err := errors.Join(checkAll(o.Account), checkAll(o.Source), checkAll(o.Global)); err != nil {
		return nil, err
	}
	if o.NameKey != nil && len(o.NameKey) != 32 {
		return nil, errors.New("throttle: NameKey has 32 bytes")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	l := &Login{store: newResilient(store, o.Logger), opts: o, names: newNamer(o.NameKey)}
	l.global = Bucket{l.names.name("global"), o.Global, true}
	if o.DeviceKey != nil {
		var err error
		if l.devices, err = newDevices(o.DeviceKey, o.PlainHTTP); err != nil {
			return nil, err
		}
	}
	l.opts.NameKey, l.opts.DeviceKey = nil, nil // not to be printed with the rest
	return l, nil
}

// Reserve implements authn.LoginLimiter. The error is authn.Throttled, the same
// for accounts that exist and for those that do not.
func (l *Login) Reserve(r *http.Request, account string) (authn.LoginAttempt, error) {
	now := l.opts.Clock()
	a := &attempt{l: l, account: account, source: authn.SourceOf(l.opts.Proxies.ClientAddr(r))}
	key := l.names.name("account", account)
	if l.devices != nil {
		if d, ok := l.devices.read(r, account, now); ok {
			// A device that logged in before is counted by itself: strangers can not
			// use up its attempts.
			a.device = &d
			key = l.names.name("device", account, string(d.id[:]))
		}
	}
	a.buckets = []Bucket{
		{key, l.opts.Account, false},
		{l.names.name("source", a.source), l.opts.Source, false},
		l.global,
	}
	wait, from, err := l.store.take(r.Context(), now, a.buckets)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		return nil, authn.Throttled(wait)
	}
	a.from = from
	return a, nil
}

// attempt is one reserved attempt.
type attempt struct {
	l       *Login
	account string
	source  string
	device  *device
	buckets []Bucket
	from    Store // where the units were taken
	done    atomic.Bool
}

// Source implements authn.LoginAttempt.
func (a *attempt) Source() string { return a.source }

// Succeeded implements authn.LoginAttempt. It returns a device cookie unless the
// request came with one that is good for a while yet.
func (a *attempt) Succeeded(ctx context.Context) []*http.Cookie {
	a.giveBack(ctx)
	if a.l.devices == nil {
		return nil
	}
	return a.l.devices.cookies(a.account, a.device, a.l.opts.Clock())
}

// Cancelled implements authn.LoginAttempt.
func (a *attempt) Cancelled(ctx context.Context) { a.giveBack(ctx) }

// giveBack gives this attempt's units back once. The request may have ended
// already; its units are given back all the same.
func (a *attempt) giveBack(ctx context.Context) {
	if a.done.CompareAndSwap(false, true) {
		a.l.store.giveBack(context.WithoutCancel(ctx), a.l.opts.Clock(), a.from, a.buckets)
	}
}
