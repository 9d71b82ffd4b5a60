package throttle

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// class is the group by which an attempt was counted.
type class uint8

const (
	stranger class = iota
	byPlace
	byDevice
)

// candidate is a mark. It makes the caller known if its stamp fits the account's current epoch.
type candidate struct {
	known  bool
	member Key
	stamp  Key
	seen   time.Time
}

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
	from    Store // the store that counted the units
	stamp   Key   // for subject and epoch; zero before Account

	elsewhere bool // sent by a browser for a page of another site
	done      atomic.Bool
}

var _ authn.AccountAttempt = (*attempt)(nil)

func (a *attempt) placesKey() Key   { return of("places", a.keys.account) }
func (a *attempt) devicesKey() Key  { return of("devices", a.keys.account) }
func (a *attempt) crowdKey() Key    { return of("crowd", a.keys.source) }
func (a *attempt) placeMember() Key { return of("place", a.keys.source) }

// recall finds the marks that may make the caller known.
//
// A page of another site can make a browser send password guesses with Basic
// (https://name:guess@host). They count as attempts of an unknown caller, because they would
// otherwise use up the limits of the visitor's address.
func (a *attempt) recall(ctx context.Context, r *http.Request, now time.Time) error {
	a.elsewhere = authn.FromAnotherSite(r)
	if a.l.devices != nil {
		if d, ok := a.l.devices.read(r, a.account, now); ok {
			a.cookie = &d
		}
	}
	return a.look(ctx, now)
}

// look is recall after the cookie was read.
func (a *attempt) look(ctx context.Context, now time.Time) error {
	marks, err := a.l.store.marks(ctx, now, []Key{a.placesKey(), a.crowdKey(), a.devicesKey()})
	if err != nil {
		return err
	}
	a.here = find(marks[0], a.placeMember())
	if a.at.source != unknown && len(marks[1]) < crowd && !a.elsewhere {
		a.place = a.here
	}
	if a.cookie != nil {
		a.device = find(marks[2], a.cookie.id)
		a.device.known = a.device.known && a.device.stamp == a.cookie.stamp
	}
	return nil
}

func find(marks []Mark, member Key) candidate {
	for _, m := range marks {
		if m.Member == member {
			return candidate{true, member, m.Stamp, m.Seen}
		}
	}
	return candidate{}
}

// Account implements [authn.AccountAttempt]. A caller that was known at another epoch, or for
// another account with this name, counts as unknown.
func (a *attempt) Account(ctx context.Context, subject string, epoch int64) error {
	if subject != "" {
		a.stamp = a.l.names.name("stamp", a.account, subject, strconv.FormatInt(epoch, 10))
	}
	a.device.known = a.device.known && a.device.stamp == a.stamp
	a.place.known = a.place.known && a.place.stamp == a.stamp
	if a.class == stranger || a.class == byDevice && a.device.known || a.class == byPlace && a.place.known {
		return nil
	}
	a.giveBack(ctx)
	if err := a.take(ctx, a.l.opts.Clock()); err != nil {
		return err
	}
	a.done.Store(false)
	return nil
}

// Known implements [authn.AccountAttempt].
func (a *attempt) Known() bool { return a.class != stranger }

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
	if o, _, err := a.l.store.take(ctx, now, free); err == nil && o.Plan == 0 {
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
		a.l.store.giveBack(context.WithoutCancel(ctx), a.l.opts.Clock(), a.from, a.taken)
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
