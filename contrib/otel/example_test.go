package otel_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/contrib/otel"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Put the decision about a request on its span. A program has a real exporter, and otelhttp makes the
// span.
func Example() {
	spans := tracetest.NewInMemoryExporter()
	tracers := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	sink, err := otel.New(&otel.Options{Tracers: tracers})
	if err != nil {
		fmt.Println(err)
		return
	}
	devices, err := knox.New(memory.New(nil), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	api := authn.New(authn.Chain{devices}, &authn.Options{Sink: sink}).Handler(http.NotFoundHandler())

	r := httptest.NewRequest("GET", "/", nil)
	ctx, span := tracers.Tracer("example").Start(r.Context(), "GET /")
	api.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	span.End()
	for _, a := range spans.GetSpans()[0].Attributes {
		fmt.Printf("%s=%s\n", a.Key, a.Value.AsString())
	}
	// Output:
	// vestibule.scheme=
	// vestibule.outcome=none
}
