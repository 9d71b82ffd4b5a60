// Package metrics counts the decisions and events of Vestibule for Prometheus.
package metrics

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
)

// #region metrics

// Metrics counts decisions and events. Every label has few values, and none is a secret.
type Metrics struct {
	decisions, events *prometheus.CounterVec
	seconds           *prometheus.HistogramVec
}

// New creates the metrics and registers them.
func New(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_decisions_total", Help: "Authentications.",
		}, []string{"scheme", "outcome", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vestibule_decision_seconds", Help: "Duration of authentications.",
			Buckets: []float64{.0001, .001, .005, .02, .1, .5, 2},
		}, []string{"outcome"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_events_total", Help: "Audit events.",
		}, []string{"kind", "scheme", "reason"}),
	}
	for _, c := range []prometheus.Collector{m.decisions, m.seconds, m.events} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// #endregion metrics

// #region hooks

// Observe is for authn.Options.Observe.
func (m *Metrics) Observe(_ *http.Request, e authn.Event) {
	m.decisions.WithLabelValues(e.Scheme, e.Outcome.String(), e.Code).Inc()
	m.seconds.WithLabelValues(e.Outcome.String()).Observe(e.Duration.Seconds())
}

// Audit is for audit.New. The whole event goes to a log, since accounts are no label.
func (m *Metrics) Audit(ctx context.Context, e audit.Event) {
	m.events.WithLabelValues(string(e.Kind), e.Scheme, e.Reason).Inc()
	slog.InfoContext(ctx, "audit", "event", e)
}

// #endregion hooks
