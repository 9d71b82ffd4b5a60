package authn

import (
	"context"
	"log/slog"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/observe"
)

// stopwatch measures a decision.
type stopwatch struct {
	runs  bool
	begun elapsed.Instant // or
	wall  time.Time       // with Options.Clock
}

// watch begins to measure, if anything receives durations.
func (m *Middleware) watch() (w stopwatch) {
	switch {
	case m.observe == nil && m.sink == nil:
	case m.now != nil:
		w.runs, w.wall = true, m.now()
	default:
		w.runs, w.begun = true, elapsed.Read()
	}
	return w
}

// took returns the duration of a decision. To read the clock costs a good part of a decision from a
// kept identity, so its end is the reading with which the identity was found to be valid.
func (m *Middleware) took(w stopwatch, f *found) time.Duration {
	switch {
	case m.now != nil:
		return m.now().Sub(w.wall)
	case f.kept:
		return f.at.Sub(w.begun)
	}
	return elapsed.Read().Sub(w.begun)
}

// decided passes a decision to the sink.
func (m *Middleware) decided(ctx context.Context, by int, err error, took time.Duration, f *found) {
	if m.sink == nil || m.sink.Decision == nil {
		return
	}
	d := observe.Decision{Duration: took, Kept: f.kept}
	switch {
	case err == nil:
		d.Outcome, d.Scheme = observe.Accepted, m.plan.name(by)
	case err == ErrNoCredentials:
	default:
		d.Outcome, d.Scheme = observe.Error, m.plan.name(by)
		if e := refusal(err); e != nil {
			d.Outcome, d.Code = observe.Rejected, e.Code
		}
	}
	if s, ok := ctx.(*state); ok {
		d.Stored = s.flags.Load()&storedFlag != 0
	}
	defer func() {
		if v := recover(); v != nil {
			m.logger().LogAttrs(ctx, slog.LevelError, "panic in observer", slog.Any("error", newPanic(v)))
		}
	}()
	m.sink.Decision(ctx, d)
}

// looked reports a lookup in the kept identities.
func (p *plan) looked(ctx context.Context, e *entry) {
	if p.sink == nil || p.sink.Lookup == nil {
		return
	}
	l := observe.Lookup{Kind: observe.Identities, Result: observe.Miss}
	if e != nil {
		l.Result = observe.Hit
	}
	p.sink.Lookup(ctx, l)
}

// storedKey is the key under which stores find the decision that waits for them; see
// observe.MarkStored.
type storedKey = struct{ VestibuleStored struct{} }

// MarkStored records that the decision waited for a store.
func (s *state) MarkStored() { s.flags.Or(storedFlag) }

// The flags of a state.
const (
	takenFlag  uint32 = 1 << iota // FromContext has used lists
	storedFlag                    // the decision waited for a store
)
