package rotation

import (
	"context"
	"time"
)

const (
	// slack is how far the clocks of this process and of the store may differ before a new
	// token's use counts as an older one's.
	slack = time.Second
	// remembered bounds how many families Used remembers.
	remembered = 4096
)

// Used reports that an access token of the family, created at created, was used at now. Its
// holder has the answer of the exchange, so from then on only the source that made the
// exchange can fetch that answer again, and another source counts as reuse. It writes once for
// each exchange within the grace period, and does nothing later. Call it for tokens that are
// checked against the store anyway.
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
		clear(r.used) // then some are reported again
	}
	r.used[family] = created
	return true
}

func (r *Rotator) forget(family string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.used, family)
}
