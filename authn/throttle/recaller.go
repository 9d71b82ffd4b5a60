package throttle

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strconv"

	"github.com/vestibule-auth/vestibule/authn"
)

var _ authn.Recaller = (*Login)(nil)

// Recall implements [authn.Recaller]. It accepts a request with a device cookie, or from an address
// from which 1 to 4 accounts logged in. These requests have counts of their own, with the limits of
// known callers. A request with a device cookie counts for the device and for all devices of its
// account. Any other request counts for its address. All of them also count for the networks around
// the address.
func (l *Login) Recall(r *http.Request) (known func(ctx context.Context, account, subject string, epoch int64) bool, err error) {
	ctx, now := r.Context(), l.opts.Clock()
	at := placesOf(l.opts.Proxies.ClientAddr(r))
	k := l.names.keysOf("", at)
	var cookie *device
	if l.devices != nil {
		if d, ok := l.devices.open(r, now); ok {
			cookie = &d
		}
	}
	var crowdAt []Mark
	if at.source != unknown {
		marks, err := l.store.marks(ctx, now, []Key{of("crowd", k.source)})
		if err != nil {
			return nil, err
		}
		crowdAt = marks[0]
	}
	lim := &l.limits
	base := []Bucket{{of("recall source", k.source), lim.KnownSource, false}, {of("recall block", k.block), lim.KnownBlock, false}, {of("recall net", k.net), lim.KnownNet, false}}
	var plans [][]Bucket
	if cookie != nil {
		owner := l.names.name("recall account", string(cookie.account[:]), string(cookie.stamp[:]))
		plans = append(plans, append([]Bucket{{of("recall device", cookie.id), lim.KnownDevice, false}, {owner, lim.KnownAccount, false}}, base...))
	}
	if n := len(crowdAt); n > 0 && n < crowd {
		plans = append(plans, append([]Bucket{{of("recall place", k.source), lim.KnownPlace, false}}, base...))
	}
	if len(plans) == 0 {
		return nil, authn.Throttled(othersWait)
	}
	o, _, err := l.store.take(ctx, now, Key{}, plans)
	switch {
	case err != nil:
		return nil, err
	case o.Plan < 0:
		return nil, authn.Throttled(othersWait)
	}
	return func(ctx context.Context, account, subject string, epoch int64) bool {
		if subject == "" {
			return false
		}
		a := &attempt{l: l, account: account, at: at, keys: l.names.keysOf(account, at)}
		if cookie != nil && cookie.account == sha256.Sum256([]byte(account)) {
			a.cookie = cookie
		}
		if a.look(ctx, l.opts.Clock()) != nil {
			return false
		}
		stamp := l.names.name("stamp", account, subject, strconv.FormatInt(epoch, 10))
		return a.device.known && a.device.stamp == stamp || a.place.known && a.place.stamp == stamp
	}, nil
}
