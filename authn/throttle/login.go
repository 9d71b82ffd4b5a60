package throttle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/observe"
)

// LoginOptions configure a [Login]. nil means the defaults.
type LoginOptions struct {
	// Limits are the rates. nil means [DefaultLoginLimits]; a nil list in it means the default
	// list.
	Limits *LoginLimits
	// Proxies are trusted to report the client address.
	Proxies authn.TrustedProxies
	// NameKey is the 32-byte key that hashes names and addresses (keys.ThrottleNames). nil means a
	// random key for this process. Processes that share a store must set it; for a [Shared] store it
	// is required.
	NameKey Secret
	// DeviceKey is the 32-byte key of device cookies (keys.DeviceCookie). nil means no
	// cookies. A user is then known only by address. While many networks attack an account, the
	// owner of the account cannot log in from a new address.
	DeviceKey Secret
	// PlainHTTP names the device cookie "device", without Secure, for development on loopback.
	// Otherwise the name is "__Host-device". The other name is never read.
	PlainHTTP bool
	// Logger receives a message when the store fails and when it works again. nil means
	// slog.Default(). A [Shared] store has a logger of its own.
	Logger *slog.Logger
	// Sink receives each decision, for metrics. nil means none.
	Sink *observe.Sink
	// Clock returns the current time. nil means time.Now. If its times have no monotonic readings,
	// changes of the wall clock affect the limits.
	Clock func() time.Time
}

// Login limits login attempts. Pass it to a password checker as its [authn.LoginLimiter]. Each
// limit is a bucket of units that refills over time. Before a password is hashed, an attempt takes
// one unit from every bucket that it belongs to, or none if one of them is empty. A success gives
// these units back (see LoginLimits.Free). It does not reset the counts.
//
// Failures of unknown callers do not lock out the owner of the account. Callers that have logged in
// to the account before, from the same address or with a device cookie, have buckets of their own.
// They are known until the account's epoch changes. An account has at most 8 known addresses and 8
// known devices. An address from which more than 4 accounts logged in within 90 days does not make
// a caller known.
//
// If the store fails, attempts are counted in the memory of this process, so limits still apply.
// With several processes use a [Shared] store: it divides these limits by the number of processes.
// A Login is safe for concurrent use.
type Login struct {
	store   *Shared
	limits  LoginLimits
	opts    LoginOptions
	names   namer
	devices *devices // nil: no device cookies

	strangers, reserve, spare Bucket
}

var (
	_ authn.LoginLimiter = (*Login)(nil)
	_ authn.Voucher      = (*Login)(nil)
)

// NewLogin returns a limiter that counts in store. opts can be nil. It returns an error if store is
// nil, a rate is out of range, or a key does not have 32 bytes. For a [Shared] store, NameKey must
// be set.
func NewLogin(store Store, opts *LoginOptions) (*Login, error) {
	var o LoginOptions
	if opts != nil {
		o = *opts
	}
	if store == nil {
		return nil, errors.New("throttle: NewLogin: store must be set")
	}
	l := &Login{limits: DefaultLoginLimits()}
	if o.Limits != nil {
		l.limits = *o.Limits
	}
	if err := l.limits.check(); err != nil {
		return nil, fmt.Errorf("throttle: NewLogin: %w", err)
	}
	if o.NameKey != nil && len(o.NameKey) != 32 {
		return nil, errors.New("throttle: NewLogin: NameKey must have 32 bytes")
	}
	if err := checkNames(store, o.NameKey); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	l.store, l.names = resilient(store, o.Logger, o.Sink), newNamer(o.NameKey)
	l.strangers = Bucket{l.names.name("strangers"), l.limits.Strangers, true}
	l.spare = Bucket{l.names.name("spare reserve"), l.limits.SpareReserve, true}
	l.reserve = Bucket{l.names.name("quiet reserve"), l.limits.QuietReserve, true}
	if o.DeviceKey != nil {
		var err error
		if l.devices, err = newDevices(o.DeviceKey, o.PlainHTTP); err != nil {
			return nil, err
		}
	}
	o.NameKey, o.DeviceKey, o.Limits = nil, nil, nil // not printed with the other options
	l.opts = o
	return l, nil
}

// Reserve implements [authn.LoginLimiter]. Its error is [authn.Throttled]. It is the same whether
// or not the account exists.
func (l *Login) Reserve(r *http.Request, account string) (authn.LoginAttempt, error) {
	ctx, now := r.Context(), l.opts.Clock()
	a := &attempt{l: l, account: account, at: placesOf(l.opts.Proxies.ClientAddr(r))}
	a.keys = l.names.keysOf(account, a.at)
	if err := a.recall(ctx, r, now); err != nil {
		return nil, err
	}
	if err := a.take(ctx, now); err != nil {
		return nil, err
	}
	return a, nil
}

// Numbers and ages of the marks that make callers known.
const (
	maxDevices = 8
	maxPlaces  = 8
	crowd      = 5 // with this number of accounts, an address makes no caller known
	placeAge   = 90 * 24 * time.Hour
	renewAfter = 10 * time.Minute // for marks in use
)

// othersWait is the Retry-After of a rejection by a count that others share. The exact time would
// reveal what others do.
const othersWait = time.Minute

// plans returns the ways to count the attempt, in this order: as a known device, from a known
// address, as an unknown caller.
func (a *attempt) plans() (plans [][]Bucket, as []class) {
	l, k := a.l, &a.keys
	lim := &l.limits
	plans, as = make([][]Bucket, 0, 8), make([]class, 0, 8)
	if a.device.known || a.place.known {
		base := []Bucket{
			{of("known account", k.account), lim.KnownAccount, false}, {of("known source", k.source), lim.KnownSource, false},
			{of("known block", k.block), lim.KnownBlock, false}, {of("known net", k.net), lim.KnownNet, false},
		}
		if a.device.known {
			own := Bucket{of("known device", k.account, a.device.member), lim.KnownDevice, false}
			plans, as = append(plans, append([]Bucket{own}, base...)), append(as, byDevice)
		}
		if a.place.known {
			all := Bucket{of("known places", k.account), lim.KnownPlaces, false}
			here := Bucket{of("known place", k.source), lim.KnownPlace, false}
			plans, as = append(plans, append([]Bucket{all, here}, base...)), append(as, byPlace)
		}
	}
	base := [...]Bucket{
		{a.ownKey(), lim.AccountPlace, false}, {of("account net", k.account, k.net), lim.AccountNet, false},
		{a.sourceKey(), lim.Source, false}, {of("block", k.block), lim.Block, false}, {of("net", k.net), lim.Net, false},
	}
	first := [...]Bucket{{of("first", k.account, k.net), once, false}, {of("account first", k.account), lim.AccountFirst, false}}
	again := [...]Bucket{{of("account", k.account), lim.Account, false}}
	all := [...]Bucket{{of("vast", k.vast), lim.Vast, false}, l.strangers}
	quiet := [...]Bucket{{of("quiet", k.net), lim.Quiet, false}, {of("quiet vast", k.vast), lim.QuietVast, false}, l.reserve}
	spare := [...]Bucket{{of("spare", k.account), lim.Spare, false}, l.spare}
	for i, global := range [...][]Bucket{all[:], quiet[:], spare[:]} {
		if i > 0 && (len(global[0].Rates) == 0 || len(global[len(global)-1].Rates) == 0) {
			continue
		}
		for _, account := range [...][]Bucket{first[:], again[:]} {
			if len(account) > 1 && len(lim.AccountFirst) == 0 {
				continue
			}
			p := make([]Bucket, 0, len(base)+len(account)+len(global))
			plans, as = append(plans, append(append(append(p, base[:]...), account...), global...)), append(as, stranger)
		}
	}
	return plans, as
}

func (a *attempt) ownKey() Key    { return of("account place", a.keys.account, a.keys.wide) }
func (a *attempt) sourceKey() Key { return of("source", a.keys.source) }

// take counts the attempt by the first plan whose buckets all have a unit.
func (a *attempt) take(ctx context.Context, now time.Time) error {
	plans, as := a.plans()
	o, from, err := a.l.store.take(ctx, now, Key{}, plans)
	switch {
	case err != nil:
		return err
	}
	a.report(ctx, o)
	switch {
	case o.Plan < 0 && (o.Key == a.ownKey() || o.Key == a.sourceKey()):
		return authn.Throttled(o.Wait)
	case o.Plan < 0:
		return authn.Throttled(othersWait)
	}
	a.taken, a.class, a.from = plans[o.Plan], as[o.Plan], from
	return nil
}
