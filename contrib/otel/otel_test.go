package otel_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/contrib/otel"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// shown returns a span as text, with its attributes in order.
func shown(s tracetest.SpanStub) string {
	var attrs []string
	for _, a := range s.Attributes {
		attrs = append(attrs, fmt.Sprintf("%s=%s", a.Key, a.Value.AsString()))
	}
	slices.Sort(attrs)
	text := fmt.Sprintf("%s %s %s", s.Name, s.SpanKind, strings.Join(attrs, " "))
	if s.Status.Code == codes.Error {
		text += " error"
	}
	return strings.TrimSpace(text)
}

func TestSpans(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracers := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	reader := metric.NewManualReader()
	sink := must(otel.New(&otel.Options{Tracers: tracers, Meters: metric.NewMeterProvider(metric.WithReader(reader))}))(t)
	path := filepath.Join(t.TempDir(), "db")
	db := must(sqlite.Open(path, &gormstore.Options{Sink: sink}))(t)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.CreateUser(t.Context(), storage.User{ID: "u1", Name: "alice", Active: true}); err != nil {
		t.Fatal(err)
	}
	devices := must(knox.New(db, nil))(t)
	epoch := must(db.SubjectEpoch(t.Context(), "u1"))(t)
	text, _, err := devices.Issue(t.Context(), "u1", epoch, knox.Token{})
	if err != nil {
		t.Fatal(err)
	}
	auth := authn.New(authn.Chain{devices}, &authn.Options{Sink: sink, Logger: slog.New(slog.DiscardHandler)})
	ask := func(token string, next http.HandlerFunc) (request string, others []string) {
		exporter.Reset()
		ctx, span := tracers.Tracer("test").Start(t.Context(), "GET /", trace.WithSpanKind(trace.SpanKindServer))
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		if token != "" {
			r.Header.Set("Authorization", "Knox "+token)
		}
		auth.Handler(next).ServeHTTP(httptest.NewRecorder(), r)
		span.End()
		for _, s := range exporter.GetSpans() {
			if s.Name == "GET /" {
				request = shown(s)
				continue
			}
			if s.Parent.SpanID() != span.SpanContext().SpanID() || s.EndTime.Before(s.StartTime) {
				t.Errorf("%s: parent %s, %s to %s", s.Name, s.Parent.SpanID(), s.StartTime, s.EndTime)
			}
			others = append(others, shown(s))
		}
		return request, others
	}
	nothing := func(http.ResponseWriter, *http.Request) {}

	is := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
		}
	}
	request, others := ask("", nothing)
	is("anonymous", request, "GET / server vestibule.outcome=none vestibule.scheme=")
	is("anonymous", strings.Join(others, "\n"), "")
	request, others = ask(text, func(_ http.ResponseWriter, r *http.Request) { otel.UserID(r.Context()) })
	is("accepted", request, "GET / server user.id=u1 vestibule.cache=miss vestibule.outcome=accepted vestibule.scheme=knox")
	is("accepted", strings.Join(others, "\n"), "SELECT vestibule_device_tokens client db.collection.name=vestibule_device_tokens db.operation.name=SELECT db.system.name=sqlite\n"+
		"UPDATE vestibule_device_tokens client db.collection.name=vestibule_device_tokens db.operation.name=UPDATE db.system.name=sqlite\n"+ // its first use
		"vestibule.authenticate internal vestibule.cache=miss vestibule.outcome=accepted vestibule.scheme=knox")
	request, _ = ask(text[:len(text)-1]+"x", nothing)
	is("rejected", request, "GET / server vestibule.cache=hit vestibule.code=authentication_failed vestibule.outcome=rejected vestibule.scheme=knox")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	request, others = ask(text, nothing)
	is("down", request, "GET / server error.type=authentication_error vestibule.cache=miss vestibule.outcome=error vestibule.scheme=knox")
	is("down", strings.Join(others, "\n"), "SELECT vestibule_device_tokens client db.collection.name=vestibule_device_tokens db.operation.name=SELECT db.system.name=sqlite error.type=fault error\n"+
		"vestibule.authenticate internal error.type=authentication_error vestibule.cache=miss vestibule.outcome=error vestibule.scheme=knox error")

	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, m := range all.ScopeMetrics[0].Metrics {
		h, ok := m.Data.(metricdata.Histogram[float64])
		if m.Name != "db.client.operation.duration" || m.Unit != "s" || !ok {
			t.Errorf("%s in %q, %T", m.Name, m.Unit, m.Data)
		}
		for _, p := range h.DataPoints {
			table, _ := p.Attributes.Value("db.collection.name")
			_, failed := p.Attributes.Value("error.type")
			if table.AsString() == "vestibule_device_tokens" && failed {
				found = p.Count == 1 && p.Sum >= 0
			}
		}
	}
	if !found {
		t.Errorf("%+v", all)
	}
}

// What nobody records costs nothing, and a hash is a span.
func TestHash(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracers := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	sink := must(otel.New(&otel.Options{Tracers: tracers, NoStatements: true}))(t)
	h := must(password.NewHasher(&password.HasherOptions{Sink: sink}))(t)
	must(h.Hash(t.Context(), "", "wonderland-42"))(t)
	if n := len(exporter.GetSpans()); n != 0 {
		t.Errorf("%d spans without a request", n)
	}
	ctx, span := tracers.Tracer("test").Start(t.Context(), "POST /login")
	must(h.Hash(ctx, "", "wonderland-42"))(t)
	span.End()
	if s := exporter.GetSpans(); len(s) != 2 || shown(s[0]) != "vestibule.password.verify internal vestibule.algorithm=argon2" {
		t.Errorf("%v", s)
	}
}
