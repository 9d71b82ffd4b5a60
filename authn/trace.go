package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Outcome is the result of calling a scheme.
type Outcome uint8

// The four outcomes, as used in logs and metrics.
const (
	Absent   Outcome = iota // no credentials of this kind
	Accepted                // credentials accepted
	Refused                 // credentials rejected
	Fault                   // could not be decided
)

// String returns "absent", "accepted", "refused" or "fault".
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return "fault"
}

var outcomes = [...]string{"absent", "accepted", "refused", "fault"}

func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Accepted
	case isAbsent(err):
		return Absent
	case refusal(err) != nil:
		return Refused
	}
	return Fault
}

// Event is one decision of a middleware. It contains no secret. All fields have few distinct
// values, so they are safe metric labels.
type Event struct {
	// Scheme is the scheme that decided, or "" if the request is anonymous.
	Scheme  string
	Outcome Outcome
	// Code is the code of the rejection, or "".
	Code string
	// Duration is the total time of all schemes.
	Duration time.Duration
}

// Step is the result of one scheme for a request.
type Step struct {
	Scheme  string
	Outcome Outcome
	// Why is the reason for the outcome: "no header that it reads", "no credential of its kind",
	// "its keyword, not its shape", the code of the rejection, or the text of the error.
	Why string
}

type traceKey struct{}

// TraceFrom returns the steps of the decision, in the order of the calls, if Options.Trace is set,
// and nil otherwise. Use it in tests of handlers.
func TraceFrom(ctx context.Context) []Step {
	t, _ := ctx.Value(traceKey{}).([]Step)
	return t
}

// tracer collects steps. A nil tracer collects nothing.
type tracer struct{ steps []Step }

func (t *tracer) skip(scheme string) {
	if t != nil {
		t.steps = append(t.steps, Step{scheme, Absent, "no header that it reads"})
	}
}

func (t *tracer) step(scheme string, err error) {
	if t == nil {
		return
	}
	s := Step{Scheme: scheme, Outcome: outcomeOf(err)}
	switch e := refusal(err); {
	case err == nil:
	case s.Outcome == Absent && errors.Is(err, ErrUnrecognized):
		s.Why = "its keyword, not its shape"
	case s.Outcome == Absent:
		s.Why = "no credential of its kind"
	case e != nil:
		s.Why = e.Code
	default:
		s.Why = err.Error()
	}
	t.steps = append(t.steps, s)
}

// report logs a decision and calls the observer. Rejections are logged at Info with their private
// cause, errors at Error, the trace at Debug.
func (m *Middleware) report(r *http.Request, by int, err error, took time.Duration, t *tracer) {
	outcome := outcomeOf(err)
	name := m.plan.name(by)
	var code string
	if e := refusal(err); e != nil {
		code = e.Code
	}
	if m.observe != nil {
		m.tell(r, Event{name, outcome, code, took})
	}
	ctx := r.Context()
	switch outcome {
	case Refused:
		m.logger().LogAttrs(ctx, slog.LevelInfo, "authentication rejected",
			slog.String("scheme", name), slog.String("code", code), reason(err), slog.String("route", r.Pattern))
	case Fault:
		attrs := []slog.Attr{slog.String("scheme", name), slog.Any("error", err), slog.String("route", r.Pattern)}
		var p *panicked
		if errors.As(err, &p) {
			attrs = append(attrs, slog.String("stack", string(p.stack)))
		}
		m.logger().LogAttrs(ctx, faultLevel(err), "authentication error", attrs...)
	}
	if t != nil {
		m.logger().LogAttrs(ctx, slog.LevelDebug, "authentication trace", slog.String("outcome", outcome.String()), slog.Any("steps", t.steps))
	}
}

// reason returns the private cause of a rejection, for the log.
func reason(err error) slog.Attr {
	if e := refusal(err); e != nil && e.cause != nil {
		return slog.String("reason", e.cause.Error())
	}
	return slog.Attr{}
}

// tell calls the observer and recovers its panics.
func (m *Middleware) tell(r *http.Request, e Event) {
	defer func() {
		if v := recover(); v != nil {
			m.logger().LogAttrs(r.Context(), slog.LevelError, "panic in observer", slog.Any("error", newPanic(v)))
		}
	}()
	m.observe(r, e)
}
