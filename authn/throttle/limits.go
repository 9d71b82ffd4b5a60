package throttle

import (
	"errors"
	"slices"
	"time"
)

// LoginLimits are the rates of a Login. A list that is nil is that of DefaultLoginLimits. [Unlimited]
// is no limit; as a reserve (AccountFirst, Quiet, QuietReserve, Spare, SpareReserve) it is none.
//
// A place is an IPv4 address or an IPv6 /56, a network an IPv4 /24 or an IPv6 /48. A caller
// is known at an account if it sends a device cookie of an earlier login, or comes from an
// address (IPv4, or IPv6 /64) where the account logged in before. All others are strangers.
type LoginLimits struct {
	// AccountPlace counts a stranger's tries at one account from one place: 5/m and 15/h.
	AccountPlace []Rate
	// AccountNet counts strangers' tries at one account from one network: 40/d.
	AccountNet []Rate
	// Account counts strangers' tries at one account from networks that tried it within the
	// last day: 100/h and 300/d.
	Account []Rate
	// AccountFirst is a reserve for the first try of a network at an account in a day, so
	// that a few networks cannot use up an account for all others: 30/h and 100/d.
	AccountFirst []Rate
	// Source, Block and Net count all tries of strangers from an IPv4 address or IPv6 /64
	// (30/m and 300/h), an IPv4 /28 or IPv6 /56 (60/m and 600/h), and a network (120/m and
	// 1200/h).
	Source, Block, Net []Rate
	// Strangers counts all tries of all strangers: 1000/m. Vast counts those from an IPv4 /16 or
	// IPv6 /32, what one provider or one large customer of it has, so that none of them uses up
	// Strangers: 250/m.
	Strangers, Vast []Rate
	// Quiet is how many tries of a network may use QuietReserve once Strangers is used up:
	// 3/h and 200/m. Networks that try rarely therefore still log in during a flood.
	// QuietVast is Vast for that reserve: 50/m.
	Quiet, QuietReserve, QuietVast []Rate
	// Spare is how many tries at an account may use SpareReserve once Strangers or Vast is used
	// up: 2/h and 2000/m. The owner of an account that nobody tries therefore still logs in from
	// a network that somebody else floods with other names.
	Spare, SpareReserve []Rate

	// KnownAccount counts the failures of all known callers of an account: 60/h.
	KnownAccount []Rate
	// KnownDevice counts those of one device: 30/h.
	KnownDevice []Rate
	// KnownPlaces counts those of all known addresses of an account, and is lower than
	// KnownAccount, so that strangers at such an address cannot use up the share of the
	// devices: 30/h.
	KnownPlaces []Rate
	// KnownPlace counts those of one known address at all accounts: 60/h.
	KnownPlace []Rate
	// KnownSource, KnownBlock and KnownNet are Source, Block and Net for known callers, four
	// times as wide.
	KnownSource, KnownBlock, KnownNet []Rate

	// Free is how many successful logins to one account from one place give their units
	// back: 60/h. Those beyond count as failures do, since each costs a hash.
	Free []Rate
}

// DefaultLoginLimits returns the limits of a Login without options.
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

// Scale returns the limits with every number multiplied by times/by: Scale(10, 5) doubles
// them. A number is rounded up, and is between 1 and MaxLimit. times and by must be above 0;
// otherwise the limits are returned unchanged.
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

// Unlimited returns a list for a LoginLimits that limits nothing.
func Unlimited() []Rate { return []Rate{} }

// check copies the lists, so that nobody changes them later, puts the default where one is nil, and
// reports what is out of range.
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
				return errors.New("throttle: NewLogin: a list names one rate twice")
			}
		}
	}
	return nil
}

// once is a bucket of a network that has not tried an account within a day.
var once = []Rate{{1, 24 * time.Hour}}
