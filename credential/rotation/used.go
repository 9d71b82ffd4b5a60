package rotation

import (
	"context"
	"time"
)

const (
	// slack is the accepted difference between the clocks of this process and of the store. Within
	// it, the use of a new token does not count as the use of an older one.
	slack = time.Second
	// remembered is the largest number of families that Used remembers.
	remembered = 4096
)

// Used reports a use of an access token of the family. created is the creation time of the token,
// and now is the time of the use. This shows that the client received the response of the exchange.
// So from now on, only the client address that made the exchange can repeat it. A request from
// another address counts as reuse.
//
// Used writes once for each exchange within the grace period, and does nothing later. Call it for
// tokens that are checked in the store anyway.
func (r *Rotator) Used(ctx context.Context, family string, created, now time.Time) error {
	if age := now.Sub(created); family == "" || age >= r.opts.Grace+slack {
		return nil
	}
	if !r.first(family, created) {
		return nil
	}
	if err := r.store.CloseGraceWindow(ctx, family, created.Add(slack)); err != nil {
		r.forget(family)
		return err
	}
	return nil
}

// first reports whether this is the first use of that token.
func (r *Rotator) first(family string, created time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.used[family]; ok && !created.After(at) {
		return false
	}
	if len(r.used) >= remembered {
		clear(r.used) // some uses are then reported again
	}
	r.used[family] = created
	return true
}

func (r *Rotator) forget(family string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.used, family)
}
