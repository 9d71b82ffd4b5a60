package otel

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/vestibule-auth/vestibule/observe"
)

// Attributes of the spans and metrics of the messages that keep caches up to date.
const (
	Courier = attribute.Key("vestibule.courier")
	Reason  = attribute.Key("vestibule.reason")
)

// bus exports what happens to messages. The reports have no request, so a time without a lease is a
// span of its own, to which the spans of the requests that it makes slower have links.
type bus struct {
	tracer                  trace.Tracer
	blind                   metric.Float64Counter
	lags                    metric.Float64Histogram
	flushes, messages, uses metric.Int64Counter

	mu   sync.Mutex
	dark map[string]trace.Span // by courier: the times without a lease that have not ended
}

func newBus(tracer trace.Tracer, m metric.Meter) (*bus, error) {
	b := &bus{tracer: tracer, dark: map[string]trace.Span{}}
	var errs [5]error
	b.lags, errs[0] = m.Float64Histogram("vestibule.bus.lag", metric.WithUnit("s"), metric.WithDescription("Approximate time from a change to its arrival."),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5))
	b.blind, errs[1] = m.Float64Counter("vestibule.bus.blind", metric.WithUnit("s"), metric.WithDescription("Time in which each lookup queried the store."))
	b.flushes, errs[2] = m.Int64Counter("vestibule.bus.flushes", metric.WithUnit("{flush}"), metric.WithDescription("Times that the whole cache was removed."))
	b.messages, errs[3] = m.Int64Counter("vestibule.bus.messages", metric.WithUnit("{message}"), metric.WithDescription("Messages about changes."))
	b.uses, errs[4] = m.Int64Counter("vestibule.bus.stale", metric.WithUnit("{use}"), metric.WithDescription("Uses of cached entries without a lease."))
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("otel: New: %w", err)
		}
	}
	return b, nil
}

func (b *bus) report(r observe.Bus) {
	ctx, courier, reason := context.Background(), Courier.String(r.Courier), Reason.String(r.Reason.String())
	both, one := metric.WithAttributes(courier, reason), metric.WithAttributes(courier)
	switch r.Event {
	case observe.LeaseLost:
		b.lost(ctx, r.Courier, courier, reason)
	case observe.LeaseGained:
		b.gained(r.Courier)
	case observe.Blind:
		b.blind.Add(ctx, r.Blind.Seconds(), both)
	case observe.StaleServed:
		b.uses.Add(ctx, int64(r.Messages), one)
		if span := b.of(r.Courier); span != nil {
			span.AddEvent("vestibule.bus.stale", trace.WithAttributes(attribute.Int("vestibule.uses", r.Messages)))
		}
	case observe.Flushed:
		b.flushes.Add(ctx, 1, both)
		if span := b.of(r.Courier); span != nil {
			span.AddEvent("vestibule.bus.flush", trace.WithAttributes(reason))
			return
		}
		_, span := b.tracer.Start(ctx, "vestibule.bus.flush", trace.WithNewRoot(), trace.WithAttributes(courier, reason))
		span.End()
	case observe.Received, observe.Sent:
		b.messages.Add(ctx, int64(r.Messages), metric.WithAttributes(courier, attribute.String("vestibule.direction", r.Event.String())))
	case observe.Lagged:
		b.lags.Record(ctx, r.Lag.Seconds(), one)
	}
}

// lost begins the span of a time without a lease, unless there is one.
func (b *bus) lost(ctx context.Context, name string, attrs ...attribute.KeyValue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dark[name] == nil {
		_, b.dark[name] = b.tracer.Start(ctx, "vestibule.bus.blind", trace.WithNewRoot(), trace.WithAttributes(attrs...))
	}
}

// gained ends the span.
func (b *bus) gained(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if span := b.dark[name]; span != nil {
		span.End()
		delete(b.dark, name)
	}
}

func (b *bus) of(name string) trace.Span {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dark[name]
}

// links returns links to the times without a lease, for spans of requests that waited for the store.
func (b *bus) links() (list []trace.Link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, span := range b.dark {
		list = append(list, trace.Link{SpanContext: span.SpanContext(), Attributes: []attribute.KeyValue{Courier.String(name)}})
	}
	return list
}
