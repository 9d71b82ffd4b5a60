package rotation

import (
	"context"
	"time"
)

const (
	// slack is how far the clocks of this process and of the store may differ without
	// a new token's use being taken for an older one's.
	slack = time.Second
	// remembered bounds how many families Used knows.
	remembered = 4096
)

// Used tells that a token of the family, made at created, was used at now: its holder has the
// answer, so that from then on nobody may have it again but from where it was claimed
// (RULES T3). It is for tokens that are checked against the store anyway; it writes once
// for each exchange, within the grace, and does nothing later.
func (r *Rotator) Used(ctx context.Context, family string, created, now time.Time) error {
	if age := now.Sub(created); family == "" || age >= r.opts.Grace+slack {
		return nil
	}
	if !r.first(family, created) {
		return nil
	}
	if err := r.store.NarrowRefresh(ctx, family, created.Add(slack)); err != nil {
		r.forget(family)
		return err
	}
	return nil
}

// first reports whether a use of that token was not told yet.
func (r *Rotator) first(family string, created time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.used[family]; ok && !created.After(at) {
		return false
	}
	if len(r.used) >= remembered {
		clear(r.used) // then some are told again
	}
	r.used[family] = created
	return true
}

func (r *Rotator) forget(family string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.used, family)
}
