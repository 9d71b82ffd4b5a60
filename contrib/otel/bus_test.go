package otel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/contrib/otel"
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A time without a lease is one span with its flushes, requests that waited for the store have a link
// to it, and the counters add up.
func TestBus(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracers := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	reader := metric.NewManualReader()
	sink := must(otel.New(&otel.Options{Tracers: tracers, Meters: metric.NewMeterProvider(metric.WithReader(reader))}))(t)

	db := memory.New(nil)
	if err := db.CreateUser(t.Context(), storage.User{ID: "u1", Name: "alice", Active: true}); err != nil {
		t.Fatal(err)
	}
	devices := must(knox.New(&marking{db}, nil))(t)
	text, _, err := devices.Issue(t.Context(), "u1", 0, knox.Token{})
	if err != nil {
		t.Fatal(err)
	}
	request := func() tracetest.SpanStub {
		t.Helper()
		exporter.Reset()
		ctx, span := tracers.Tracer("test").Start(t.Context(), "GET /")
		defer span.End()
		r := httptest.NewRequestWithContext(ctx, "GET", "https://app.example/", nil)
		r.Header.Set("Authorization", "Knox "+text)
		authn.New(authn.Chain{devices}, &authn.Options{Sink: sink}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), r)
		for _, s := range exporter.GetSpans() {
			if s.Name == "vestibule.authenticate" {
				return s
			}
		}
		t.Fatal("no span vestibule.authenticate")
		return tracetest.SpanStub{}
	}

	sink.Bus(observe.Bus{Event: observe.Flushed, Courier: "outbox", Reason: observe.Gap})
	if got := exporter.GetSpans(); len(got) != 1 || shown(got[0]) != "vestibule.bus.flush internal vestibule.courier=outbox vestibule.reason=gap" {
		t.Errorf("a flush under the lease: %v", got)
	}
	if s := request(); len(s.Links) != 0 {
		t.Errorf("links under the lease: %v", s.Links)
	}
	sink.Bus(observe.Bus{Event: observe.LeaseLost, Courier: "notify", Reason: observe.Reconnect})
	sink.Bus(observe.Bus{Event: observe.LeaseLost, Courier: "notify", Reason: observe.Timeout}) // of another cache
	sink.Bus(observe.Bus{Event: observe.Blind, Courier: "notify", Reason: observe.Reconnect, Blind: 250 * time.Millisecond})
	sink.Bus(observe.Bus{Event: observe.Blind, Courier: "notify", Reason: observe.Reconnect, Blind: 250 * time.Millisecond})
	waited := request()
	exporter.Reset()
	sink.Bus(observe.Bus{Event: observe.Flushed, Courier: "notify", Reason: observe.Reconnect})
	sink.Bus(observe.Bus{Event: observe.StaleServed, Courier: "notify", Messages: 3})
	sink.Bus(observe.Bus{Event: observe.LeaseGained, Courier: "notify"})
	spans := exporter.GetSpans()
	if len(spans) != 1 || shown(spans[0]) != "vestibule.bus.blind internal vestibule.courier=notify vestibule.reason=reconnect" {
		t.Fatalf("a time without a lease: %v", spans)
	}
	var events []string
	for _, e := range spans[0].Events {
		events = append(events, e.Name)
	}
	if got := strings.Join(events, " "); got != "vestibule.bus.flush vestibule.bus.stale" {
		t.Error("events:", got)
	}
	if len(waited.Links) != 1 || waited.Links[0].SpanContext.SpanID() != spans[0].SpanContext.SpanID() {
		t.Errorf("links of a request that waited: %v", waited.Links)
	}
	if s := request(); len(s.Links) != 0 {
		t.Errorf("links afterwards: %v", s.Links)
	}
	sink.Bus(observe.Bus{Event: observe.Received, Courier: "notify", Messages: 2})
	sink.Bus(observe.Bus{Event: observe.Lagged, Courier: "notify", Lag: 4 * time.Millisecond})

	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				got = append(got, fmt.Sprint(m.Name, " ", p.Value))
			}
		case metricdata.Sum[float64]:
			for _, p := range d.DataPoints {
				got = append(got, fmt.Sprint(m.Name, " ", p.Value))
			}
		case metricdata.Histogram[float64]:
			for _, p := range d.DataPoints {
				got = append(got, fmt.Sprint(m.Name, " ", p.Count, " ", p.Sum))
			}
		}
	}
	slices.Sort(got)
	want := "vestibule.bus.blind 0.5, vestibule.bus.flushes 1, vestibule.bus.flushes 1, vestibule.bus.lag 1 0.004, vestibule.bus.messages 2, vestibule.bus.stale 3"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("%s\nwant %s", text, want)
	}
}

// marking reports each lookup as one that waited for the store.
type marking struct{ *memory.Store }

func (m *marking) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	observe.MarkStored(ctx)
	c, u, err := m.Store.CredentialByDigest(ctx, purpose, d)
	return c, u, errors.Join(err)
}
