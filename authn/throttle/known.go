package throttle

import (
	"context"
	"net/http"
	"strconv"
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
