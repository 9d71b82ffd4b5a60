package cached

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/recent"
	"github.com/vestibule-auth/vestibule/storage"
)

// Why the set is not used.
const (
	whyFault  = "the store failed"
	whyClock  = "the clock of this process differs from the database's"
	whyNew    = "the database does not know all revocations of the tokens that are still valid"
	whyFull   = "more entries than DenySet.Max"
	whyBehind = "it is being read"
)

// run keeps the set current until ctx ends.
func (d *denied) run(ctx context.Context, log *slog.Logger) {
	log = cmp.Or(log, slog.Default())
	every := denyPoll
	if d.s.follow == nil {
		every = d.s.ttl / 3
	}
	logged := denyState{why: whyBehind}
	for ctx.Err() == nil {
		began := d.s.now()
		now := d.read(ctx)
		if ctx.Err() != nil {
			return
		}
		d.state.Store(&now)
		if now.why != logged.why && now.why != whyBehind {
			logged = now
			if now.why == "" {
				log.Info("deny set in use", slog.Int("entries", d.set.Len()))
			} else {
				log.Warn("deny set not in use; tokens looked up", slog.String("reason", now.why), slog.Any("error", now.err))
			}
		}
		rest := min(denyRest*(d.s.now()-began), maxRest)
		if now.why == whyFull {
			rest = denyFull
		}
		if !pause(ctx, rest, nil) || !pause(ctx, every-rest, d.wake) {
			return
		}
	}
}

// pause waits for a duration, or until wake. It returns false if ctx ends.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-wake:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// read compares the clocks, reads the lifetimes and, if necessary, the revocations. It begins after the
// courier has connected: the first proof of a connection calls reload before it grants a lease.
func (d *denied) read(ctx context.Context) denyState {
	asked, from, wall := d.asked.Load(), elapsed.Now(), d.s.clock()
	l, err := d.source.RecordTokenLifetime(ctx, d.lifetime)
	if err != nil {
		return denyState{whyFault, err} // what was known counts for denyHold
	}
	cutoff := l.Now.Add(-l.Longest - storage.RevocationMargin)
	switch {
	case l.Now.Before(wall.Add(-d.offset)) || l.Now.After(d.s.clock().Add(d.offset)):
		d.checked.Drop()
		return denyState{why: whyClock}
	case l.Since.After(cutoff):
		d.checked.Drop()
		return denyState{why: whyNew}
	}
	again := d.s.now()-d.loaded >= (l.Longest+storage.RevocationMargin)/2
	if d.s.follow == nil || again || d.ready.Load() != asked || int64(l.Longest) > d.accepted.Load() || d.accepted.Load() == int64(storage.NoTokenLimit) {
		d.prune(l.Longest)
		began := d.s.now()
		switch err := d.load(ctx, l.Now, cutoff); {
		case errors.Is(err, storage.ErrLimit):
			d.asked.Add(1) // before the names are removed
			d.set.Clear()
			return denyState{why: whyFull}
		case err != nil:
			return denyState{whyFault, err}
		}
		d.loaded = began
	}
	d.accepted.Store(int64(l.Longest))
	d.prune(l.Longest)
	d.ready.Store(asked)
	hold := denyHold
	if d.s.follow == nil {
		hold = d.s.ttl
	}
	d.checked.Grant(from, hold)
	if d.asked.Load() != asked {
		return denyState{why: whyBehind}
	}
	return denyState{}
}

// prune removes what concerns no token any more.
func (d *denied) prune(longest time.Duration) {
	d.set.Prune(d.second(longest + storage.RevocationMargin))
}

// load adds what the store has. It removes nothing, because a message that arrives meanwhile may be
// about something that the store had not committed when it was read.
func (d *denied) load(ctx context.Context, now, since time.Time) error {
	full := false
	err := d.source.RevokedSince(ctx, since, 2*d.limit, func(r storage.Revocation) {
		var k recent.Key
		switch {
		case r.Subject != "":
			k = recent.KeyOf(d.s.seed, r.Subject)
		case r.Client != "":
			key := blockClient(r.Client)
			k = recent.KeyOfDigest(d.s.seed, (*[32]byte)(&key))
		default:
			k = recent.KeyOfDigest(d.s.seed, (*[32]byte)(&r.Key))
		}
		age := time.Duration(0)
		if !r.At.IsZero() {
			age = max(now.Sub(r.At), 0)
		}
		full = !d.set.Add(k, d.second(age)) || full
	})
	if err == nil && full {
		err = storage.ErrLimit
	}
	return err
}
