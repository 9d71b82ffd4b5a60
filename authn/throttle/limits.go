package throttle

import (
	"fmt"
	"slices"
	"time"
)

// LoginLimits are the rates of a [Login]. A nil list means the list of [DefaultLoginLimits].
// [Unlimited] means no limit. For a reserve (AccountFirst, Quiet, QuietReserve, Spare,
// SpareReserve), [Unlimited] means that there is no reserve.
//
// The comments use these terms:
//   - A place is an IPv4 address or an IPv6 /56. A network is an IPv4 /24 or an IPv6 /48.
//   - A caller is known at an account if it sends a device cookie of an earlier login, or uses an
//     address (IPv4, or IPv6 /64) from which the account logged in before.
//   - All other callers are unknown.
type LoginLimits struct {
	// AccountPlace limits attempts of unknown callers at one account from one place: 5/m and 15/h.
	AccountPlace []Rate
	// AccountNet limits attempts of unknown callers at one account from one network: 40/d.
	AccountNet []Rate
	// Account limits attempts of unknown callers at one account from networks that already tried
	// this account within the last day: 100/h and 300/d.
	Account []Rate
	// AccountFirst limits attempts at one account from all networks that have not tried the account
	// within the last day: 30/h and 100/d. It is separate from Account, so a few networks cannot use up
	// both.
	AccountFirst []Rate
	// Source, Block and Net limit all attempts of unknown callers from an IPv4 address or IPv6 /64
	// (30/m and 300/h), from an IPv4 /28 or IPv6 /56 (60/m and 600/h), and from a network (120/m
	// and 1200/h).
	Source, Block, Net []Rate
	// Strangers limits all attempts of all unknown callers: 1000/m. Vast limits the attempts of
	// unknown callers from one IPv4 /16 or IPv6 /32: 250/m. With it, one provider or one large
	// customer cannot use up Strangers.
	Strangers, Vast []Rate
	// After Strangers is used up, each network still gets the attempts of Quiet (3/h). For these,
	// all networks share QuietReserve (200/m). So networks with few attempts can still log in
	// during a flood. QuietVast limits the use of QuietReserve by one IPv4 /16 or IPv6 /32: 50/m.
	Quiet, QuietReserve, QuietVast []Rate
	// After Strangers or Vast is used up, each account still gets the attempts of Spare (2/h). For
	// these, all accounts share SpareReserve (2000/m). So the owner of an account that is not
	// attacked can still log in from a network that someone else floods with other names.
	Spare, SpareReserve []Rate

	// KnownAccount limits the failures of all known callers of an account: 60/h.
	KnownAccount []Rate
	// KnownDevice limits the failures of one device: 30/h.
	KnownDevice []Rate
	// KnownPlaces limits the failures of all known addresses of an account: 30/h. It is lower than
	// KnownAccount, so that attackers at such an address cannot use up the limit of the devices.
	KnownPlaces []Rate
	// KnownPlace limits the failures of one known address at all accounts: 60/h.
	KnownPlace []Rate
	// KnownSource, KnownBlock and KnownNet are Source, Block and Net for known callers, with limits
	// that are four times as high.
	KnownSource, KnownBlock, KnownNet []Rate

	// Free is how many successful logins to one account from one place do not count toward the
	// limits: 60/h. Further logins count like failures, because each costs a password hash.
	Free []Rate
}

// DefaultLoginLimits returns the limits of a [Login] without options.
func DefaultLoginLimits() LoginLimits {
	const minute, hour, day = time.Minute, time.Hour, 24 * time.Hour
	return LoginLimits{
		AccountPlace: []Rate{{5, minute}, {15, hour}},
		AccountNet:   []Rate{{40, day}},
		Account:      []Rate{{100, hour}, {300, day}},
		AccountFirst: []Rate{{30, hour}, {100, day}},
		Source:       []Rate{{30, minute}, {300, hour}},
		Block:        []Rate{{60, minute}, {600, hour}},
		Net:          []Rate{{120, minute}, {1200, hour}},
		Strangers:    []Rate{{1000, minute}},
		Quiet:        []Rate{{3, hour}},
		QuietReserve: []Rate{{200, minute}},
		Vast:         []Rate{{250, minute}},
		QuietVast:    []Rate{{50, minute}},
		Spare:        []Rate{{2, hour}},
		SpareReserve: []Rate{{2000, minute}},

		KnownAccount: []Rate{{60, hour}},
		KnownDevice:  []Rate{{30, hour}},
		KnownPlaces:  []Rate{{30, hour}},
		KnownPlace:   []Rate{{60, hour}},
		KnownSource:  []Rate{{120, minute}, {1200, hour}},
		KnownBlock:   []Rate{{240, minute}, {2400, hour}},
		KnownNet:     []Rate{{480, minute}, {4800, hour}},

		Free: []Rate{{60, hour}},
	}
}

// Scale returns the limits with every number multiplied by times/by: Scale(10, 5) doubles them.
// Numbers are rounded up and kept between 1 and [MaxLimit]. If times or by is not between 1 and
// MaxLimit, the limits are returned unchanged.
func (l LoginLimits) Scale(times, by int) LoginLimits {
	if times < 1 || by < 1 || times > MaxLimit || by > MaxLimit {
		return l
	}
	for _, list := range l.lists() {
		scaled := slices.Clone(*list)
		for i, r := range scaled {
			n := (int64(r.Limit)*int64(times) + int64(by) - 1) / int64(by)
			scaled[i].Limit = int(min(max(n, 1), MaxLimit))
		}
		*list = scaled
	}
	return l
}

func (l *LoginLimits) lists() []*[]Rate {
	return []*[]Rate{
		&l.AccountPlace, &l.AccountNet, &l.Account, &l.AccountFirst, &l.Source, &l.Block, &l.Net, &l.Strangers, &l.Vast, &l.Quiet, &l.QuietReserve, &l.QuietVast, &l.Spare, &l.SpareReserve,
		&l.KnownAccount, &l.KnownDevice, &l.KnownPlaces, &l.KnownPlace, &l.KnownSource, &l.KnownBlock, &l.KnownNet, &l.Free,
	}
}

// Unlimited returns a list for [LoginLimits] that means no limit.
func Unlimited() []Rate { return []Rate{} }

// check replaces nil lists with the defaults and copies the lists, so that later changes have no
// effect. It returns an error if a rate is out of range.
func (l *LoginLimits) check() error {
	usual := DefaultLoginLimits()
	for i, list := range l.lists() {
		if *list == nil {
			*list = *usual.lists()[i]
		}
		*list = slices.Clone(*list)
		if err := checkAll(*list); err != nil {
			return err
		}
		for i, r := range *list {
			if slices.Contains((*list)[:i], r) {
				return fmt.Errorf("a list of Limits contains the rate of %d in %s twice", r.Limit, r.Window)
			}
		}
	}
	return nil
}

// once is the rate of a bucket that is full if a network has not tried an account within a day.
var once = []Rate{{1, 24 * time.Hour}}
