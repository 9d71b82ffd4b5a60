package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Outcome is how a question to a scheme ended.
type Outcome uint8

// The four outcomes of an authentication, in the words of logs and metrics.
const (
	Absent   Outcome = iota // no credential of this kind
	Accepted                // found and good
	Refused                 // found and refused
	Fault                   // could not decide
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

// Event is one decision of a middleware. It holds no secret and only words of
// bounded number, so that its fields can be labels of a metric.
type Event struct {
	// Scheme decided; "" where the request is anonymous.
	Scheme  string
	Outcome Outcome
	// Code is the refusal's code, or "".
	Code string
	// Duration is the time that all schemes took together.
	Duration time.Duration
}

// Step is what one scheme saw of a request.
type Step struct {
	Scheme  string
	Outcome Outcome
	// Why says why the scheme stopped there: "no header that it reads", "not its
	// keyword", "its keyword, not its shape", the refusal's code, or the fault.
	Why string
}

type traceKey struct{}

// TraceFrom returns the steps of the decision, in the order of asking, where
// Options.Trace is set; nil otherwise. It is for tests of handlers.
func TraceFrom(ctx context.Context) []Step {
	t, _ := ctx.Value(traceKey{}).([]Step)
	return t
}

// tracer collects steps; a nil tracer collects nothing.
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

// report logs a decision and tells the observer. Refusals go to the log at Info
// with their private cause, faults at Error, the trace at Debug.
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
		m.logger().LogAttrs(ctx, slog.LevelInfo, "authentication refused",
			slog.String("scheme", name), slog.String("code", code), reason(err), slog.String("route", r.Pattern))
	case Fault:
		attrs := []slog.Attr{slog.String("scheme", name), slog.Any("error", err), slog.String("route", r.Pattern)}
		var p *panicked
		if errors.As(err, &p) {
			attrs = append(attrs, slog.String("stack", string(p.stack)))
		}
		m.logger().LogAttrs(ctx, faultLevel(err), "authentication could not be decided", attrs...)
	}
	if t != nil {
		m.logger().LogAttrs(ctx, slog.LevelDebug, "authentication trace", slog.String("outcome", outcome.String()), slog.Any("steps", t.steps))
	}
}

// reason is the private cause of a refusal, for the log.
func reason(err error) slog.Attr {
	if e := refusal(err); e != nil && e.cause != nil {
		return slog.String("reason", e.cause.Error())
	}
	return slog.Attr{}
}

// tell calls the observer; its panic is its own.
func (m *Middleware) tell(r *http.Request, e Event) {
	defer func() {
		if v := recover(); v != nil {
			m.logger().LogAttrs(r.Context(), slog.LevelError, "panic in the observer", slog.Any("error", newPanic(v)))
		}
	}()
	m.observe(r, e)
}
