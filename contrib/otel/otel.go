// Package otel exports what Vestibule does to OpenTelemetry: attributes of the request's span, spans of
// statements and password hashes, and a metric of their duration. It needs the API only; the SDK is the
// application's choice. For all other metrics use the module contrib/prometheus.
//
//	sink, err := otel.New(nil) // the global providers
//	db, err := postgres.Open(url, &gormstore.Options{Sink: sink})
//	auth := authn.New(chain, &authn.Options{Sink: sink})
//
// Put the middleware that begins the request's span, such as otelhttp, outside of the authn middleware.
//
//   - The request's span gets vestibule.scheme, vestibule.outcome and vestibule.cache (hit if no
//     store was queried, otherwise miss), error.type if the decision failed, and vestibule.code if
//     it was a rejection. A decision that a cache answered creates no span.
//   - A decision that waited for a store is a span vestibule.authenticate (internal).
//   - A statement is a client span, named after its operation and table, with the attributes of the
//     semantic conventions for databases. It has no text of the statement.
//   - A password hash is a span vestibule.password.verify.
//   - db.client.operation.duration is a histogram in seconds.
//   - While a cache with a courier is bypassed, there is a span vestibule.bus.blind. It is a
//     separate trace, with the reason and an event for each flush of the cache, and is exported
//     when it ends. Spans vestibule.authenticate in that time have a link to it. Any other flush is
//     a span vestibule.bus.flush.
//   - vestibule.bus.lag is a histogram in seconds. vestibule.bus.blind (seconds), .flushes, .messages
//     and .stale are counters. Their attributes are vestibule.courier, vestibule.reason and
//     vestibule.direction.
//
// A span is created when its operation has ended, with the times of the operation. So spans of
// statements are children of the request's span, beside vestibule.authenticate.
package otel

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/observe"
)

// Name is the name of the tracer and of the meter.
const Name = "github.com/vestibule-auth/vestibule/contrib/otel"

// Options configure [New]. A nil *Options means all defaults.
type Options struct {
	// Tracers and Meters are the providers; nil means the global ones, as they are when New is called.
	Tracers trace.TracerProvider
	Meters  metric.MeterProvider
	// NoStatements leaves out the spans of statements, for example because the driver makes them. Their
	// duration is measured.
	NoStatements bool
}

// New returns a Sink for the options of the observed packages. It returns the error of the meter.
func New(opts *Options) (*observe.Sink, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Tracers == nil {
		o.Tracers = otel.GetTracerProvider()
	}
	if o.Meters == nil {
		o.Meters = otel.GetMeterProvider()
	}
	s := &sink{tracer: o.Tracers.Tracer(Name), statements: !o.NoStatements}
	var err error
	s.duration, err = o.Meters.Meter(Name).Float64Histogram("db.client.operation.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of database client operations."),
		metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	if err != nil {
		return nil, fmt.Errorf("otel: New: %w", err)
	}
	if s.bus, err = newBus(s.tracer, o.Meters.Meter(Name)); err != nil {
		return nil, err
	}
	return &observe.Sink{Decision: s.decision, StoreCall: s.call, PasswordHash: s.hash, Bus: s.bus.report}, nil
}

type sink struct {
	tracer     trace.Tracer
	duration   metric.Float64Histogram
	statements bool
	bus        *bus
}

// Attributes of the request's span, and of vestibule.authenticate.
const (
	Scheme  = attribute.Key("vestibule.scheme")
	Outcome = attribute.Key("vestibule.outcome")
	Code    = attribute.Key("vestibule.code")
	Cache   = attribute.Key("vestibule.cache")

	errorType = attribute.Key("error.type")
)

func (s *sink) decision(ctx context.Context, d observe.Decision) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	attrs := make([]attribute.KeyValue, 0, 5)
	attrs = append(attrs, Scheme.String(d.Scheme), Outcome.String(d.Outcome.String()))
	switch {
	case d.Stored:
		attrs = append(attrs, Cache.String("miss"))
	case d.Outcome != observe.None:
		attrs = append(attrs, Cache.String("hit"))
	}
	if d.Code != "" {
		attrs = append(attrs, Code.String(d.Code))
	}
	if d.Outcome == observe.Error {
		attrs = append(attrs, errorType.String("authentication_error"))
	}
	span.SetAttributes(attrs...)
	if !d.Stored {
		return
	}
	one := s.ended(ctx, "vestibule.authenticate", trace.SpanKindInternal, d.Duration, attrs, s.bus.links()...)
	if d.Outcome == observe.Error {
		one.failed("")
	}
	one.end()
}

func (s *sink) call(ctx context.Context, c observe.StoreCall) {
	name := c.Operation
	attrs := make([]attribute.KeyValue, 0, 5)
	attrs = append(attrs, attribute.String("db.system.name", c.System), attribute.String("db.operation.name", c.Operation))
	if c.Table != "" {
		name += " " + c.Table
		attrs = append(attrs, attribute.String("db.collection.name", c.Table))
	}
	if c.Status != "" {
		attrs = append(attrs, attribute.String("db.response.status_code", c.Status))
	}
	if c.Outcome == observe.Fault {
		kind := "fault"
		if c.Status != "" {
			kind = c.Status
		}
		attrs = append(attrs, errorType.String(kind))
	}
	s.duration.Record(ctx, c.Duration.Seconds(), metric.WithAttributes(attrs...))
	if !s.statements || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	one := s.ended(ctx, name, trace.SpanKindClient, c.Duration, attrs)
	if c.Outcome == observe.Fault {
		one.failed(c.Status)
	}
	one.end()
}

func (s *sink) hash(ctx context.Context, h observe.PasswordHash) {
	if trace.SpanFromContext(ctx).IsRecording() {
		s.ended(ctx, "vestibule.password.verify", trace.SpanKindInternal, h.Duration, []attribute.KeyValue{attribute.String("vestibule.algorithm", h.Algorithm)}).end()
	}
}

// past is a span of something that has ended.
type past struct {
	span trace.Span
	at   time.Time
}

// ended begins a span that took a while and ends now.
func (s *sink) ended(ctx context.Context, name string, kind trace.SpanKind, took time.Duration, attrs []attribute.KeyValue, links ...trace.Link) past {
	now := time.Now()
	_, span := s.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(now.Add(-took)), trace.WithAttributes(attrs...), trace.WithLinks(links...))
	return past{span, now}
}

// failed sets the status of the span. The description is a code, since texts of errors may name hosts.
func (p past) failed(code string) { p.span.SetStatus(codes.Error, code) }

func (p past) end() { p.span.End(trace.WithTimestamp(p.at)) }

// UserID adds the attribute user.id, with the subject of the request's identity, to its span. Call it in
// a handler behind the middleware. Subjects are personal data: check first whether your tracing system
// may store them. It does nothing for a client without a user, and for users of other issuers.
func UserID(ctx context.Context) {
	if id := authn.FromContext(ctx); id.Subject != "" && id.Issuer == "" {
		trace.SpanFromContext(ctx).SetAttributes(attribute.String("user.id", id.Subject))
	}
}
