package throttle

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// attempt is one reserved attempt.
type attempt struct {
	l       *Login
	account string
	at      places
	keys    keys
	device  candidate
	cookie  *device // the device of the request's cookie, which the store may not know
	place   candidate
	here    candidate // the mark of this address, even if it does not make the caller known
	class   class
	taken   []Bucket
	from    source // where the units were counted
	stamp   Key    // for subject and epoch; zero before Account

	elsewhere bool // sent by a browser for a page of another site
	done      atomic.Bool
}

var _ authn.AccountAttempt = (*attempt)(nil)

func (a *attempt) placesKey() Key   { return of("places", a.keys.account) }
func (a *attempt) devicesKey() Key  { return of("devices", a.keys.account) }
func (a *attempt) crowdKey() Key    { return of("crowd", a.keys.source) }
func (a *attempt) placeMember() Key { return of("place", a.keys.source) }

// Network implements [authn.AccountAttempt].
func (a *attempt) Network() string { return a.at.net }

// Source implements [authn.LoginAttempt].
func (a *attempt) Source() string { return a.at.source }

// Succeeded implements [authn.LoginAttempt]. It returns a device cookie, unless the request has one
// that does not need to be renewed yet.
func (a *attempt) Succeeded(ctx context.Context) []*http.Cookie {
	if a.done.Load() {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	now := a.l.opts.Clock()
	free := [][]Bucket{{{of("free", a.keys.account, a.keys.wide), a.l.limits.Free, false}}}
	if o, _, err := a.l.store.take(ctx, now, Key{}, free); err == nil && o.Plan == 0 {
		a.giveBack(ctx)
	}
	a.done.Store(true)
	if a.stamp == (Key{}) { // Account was not called
		return nil
	}
	a.remember(ctx, now)
	if a.l.devices == nil {
		return nil
	}
	return a.rememberDevice(ctx, now)
}

// remember makes the address known for the account. If the caller was known by its device, the mark
// of the address gets an older date. So a user who travels never evicts the address of a client
// that is known only by its address.
func (a *attempt) remember(ctx context.Context, now time.Time) {
	if a.at.source == unknown {
		return
	}
	seen := now
	if a.class == byDevice {
		seen = now.Add(-placeAge / 2)
	}
	if a.here.known && a.here.stamp == a.stamp && seen.Sub(a.here.seen) < renewAfter {
		return
	}
	a.l.store.mark(ctx, now, a.placesKey(), Mark{a.placeMember(), a.stamp, seen}, maxPlaces, placeAge)
	a.l.store.mark(ctx, now, a.crowdKey(), Mark{of("member", a.keys.account), Key{}, now}, crowd, placeAge)
}

// rememberDevice makes the device known for the account. The ID of a device without a cookie is
// derived from its address, so a client that ignores cookies uses only one ID. Its mark gets an
// older date, so it never evicts a device that returned its cookie.
func (a *attempt) rememberDevice(ctx context.Context, now time.Time) []*http.Cookie {
	if a.device.known {
		if now.Sub(a.device.seen) >= renewAfter {
			a.l.store.mark(ctx, now, a.devicesKey(), Mark{a.device.member, a.stamp, now}, maxDevices, deviceAge)
		}
		return a.l.devices.cookies(a.account, a.device.member, a.stamp, a.cookie, now)
	}
	id := of("device", a.keys.account, a.keys.source, a.stamp)
	a.l.store.mark(ctx, now, a.devicesKey(), Mark{id, a.stamp, now.Add(-deviceAge / 2)}, maxDevices, deviceAge)
	return a.l.devices.cookies(a.account, id, a.stamp, nil, now)
}

// Cancelled implements [authn.LoginAttempt].
func (a *attempt) Cancelled(ctx context.Context) { a.giveBack(ctx) }

// giveBack gives back the units of this attempt, once. It ignores the cancellation of ctx, because
// the request may have ended.
func (a *attempt) giveBack(ctx context.Context) {
	if a.done.CompareAndSwap(false, true) {
		a.l.store.giveBack(context.WithoutCancel(ctx), a.l.opts.Clock(), Key{}, a.from, a.taken)
	}
}

// Vouch implements [authn.Voucher].
func (l *Login) Vouch(r *http.Request, account, subject string, epoch int64) []*http.Cookie {
	if subject == "" {
		return nil
	}
	ctx, now := r.Context(), l.opts.Clock()
	a := &attempt{l: l, account: account, at: placesOf(l.opts.Proxies.ClientAddr(r))}
	a.keys = l.names.keysOf(account, a.at)
	if a.recall(ctx, r, now) != nil || a.Account(ctx, subject, epoch) != nil {
		return nil
	}
	a.remember(ctx, now)
	if l.devices == nil {
		return nil
	}
	return a.rememberDevice(ctx, now)
}
