package throttle

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// class is by what an attempt was counted.
type class uint8

const (
	stranger class = iota
	byPlace
	byDevice
)

// candidate is a mark that makes the caller known, if the account's epoch is still its stamp.
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
	cookie  *device // the one that came, whether or not the store knows it
	place   candidate
	here    candidate // the mark of this address, whatever it is worth
	class   class
	taken   []Bucket
	from    Store // where the units were taken
	stamp   Key   // of subject and epoch; zero before Account

	elsewhere bool // a page of another site made a browser send it
	done      atomic.Bool
}

var _ authn.AccountAttempt = (*attempt)(nil)

func (a *attempt) placesKey() Key   { return of("places", a.keys.account) }
func (a *attempt) devicesKey() Key  { return of("devices", a.keys.account) }
func (a *attempt) crowdKey() Key    { return of("crowd", a.keys.source) }
func (a *attempt) placeMember() Key { return of("place", a.keys.source) }

// recall finds what may make the caller known. A page of another site can make a browser send guesses
// with Basic (https://name:guess@host). They are those of a stranger, or they would use up the
// limits of the visitor's address.
func (a *attempt) recall(ctx context.Context, r *http.Request, now time.Time) error {
	a.elsewhere = authn.FromAnotherSite(r)
	if a.l.devices != nil {
		if d, ok := a.l.devices.read(r, a.account, now); ok {
			a.cookie = &d
		}
	}
	return a.look(ctx, now)
}

// look is recall once the cookie was read.
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

// Account implements authn.AccountAttempt. A caller that was known at another epoch, or for
// another account of this name, is a stranger.
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

// Known implements authn.AccountAttempt.
func (a *attempt) Known() bool { return a.class != stranger }

// Network implements authn.AccountAttempt.
func (a *attempt) Network() string { return a.at.net }

// Source implements authn.LoginAttempt.
func (a *attempt) Source() string { return a.at.source }

// Succeeded implements authn.LoginAttempt. It returns a device cookie unless the request came
// with one that remains valid for a while.
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
	if a.stamp == (Key{}) { // nobody said which account it is
		return nil
	}
	a.remember(ctx, now)
	if a.l.devices == nil {
		return nil
	}
	return a.rememberDevice(ctx, now)
}

// remember makes the address known to the account. The marks of addresses where the device was
// what made the caller known are dated back: a user who travels never pushes out the address of
// a client that is known by nothing else.
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

// rememberDevice makes the device known to the account. A device that did not send a cookie is
// named after its address: a client that ignores cookies then uses one name however often it
// logs in, and its mark is dated back, so that it never pushes out a device that came back.
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

// Cancelled implements authn.LoginAttempt.
func (a *attempt) Cancelled(ctx context.Context) { a.giveBack(ctx) }

// giveBack gives this attempt's units back once. The request may have ended
// already; its units are given back all the same.
func (a *attempt) giveBack(ctx context.Context) {
	if a.done.CompareAndSwap(false, true) {
		a.l.store.giveBack(context.WithoutCancel(ctx), a.l.opts.Clock(), a.from, a.taken)
	}
}

// Vouch implements authn.Voucher.
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
