package prometheus_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/contrib/prometheus"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Count the decisions and the cache of an API, and serve the metrics.
func Example() {
	registry := prom.NewRegistry()
	metrics, err := prometheus.New(registry, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	sink := metrics.Sink()
	store, err := cached.New(memory.New(nil), &cached.Options{Sink: sink})
	if err != nil {
		fmt.Println(err)
		return
	}
	metrics.WatchCache(store)
	devices, err := knox.New(store, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	api := authn.New(authn.Chain{devices}, &authn.Options{Sink: sink}).Handler(http.NotFoundHandler())
	api.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) // an anonymous request

	w := httptest.NewRecorder() // in a program: an address that only Prometheus reaches
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "vestibule_decisions_total") {
			fmt.Print(line)
		}
	}
	// Output: vestibule_decisions_total{code="",outcome="none",scheme=""} 1
}
