package prometheus

import (
	"context"

	"github.com/vestibule-auth/vestibule/observe"
)

// Sink returns the Sink that feeds the metrics.
func (m *Metrics) Sink() *observe.Sink {
	return &observe.Sink{
		Decision: func(_ context.Context, d observe.Decision) {
			c := m.counters(decision{d.Scheme, d.Outcome, d.Code})
			c.total.Inc()
			c.duration.Observe(d.Duration.Seconds())
		},
		Lookup: func(_ context.Context, l observe.Lookup) {
			if l.Kind < observe.Kinds && l.Result < observe.Results {
				m.lookups[l.Kind][l.Result].Inc()
			}
		},
		StoreCall: func(_ context.Context, c observe.StoreCall) {
			op := c.Operation
			if c.Table != "" {
				op += " " + c.Table
			}
			m.store.WithLabelValues(c.System, op, c.Outcome.String()).Observe(c.Duration.Seconds())
		},
		Limit: func(_ context.Context, l observe.Limit) {
			if l.Name < observe.Limits {
				m.limits[l.Name][number(l.Allowed)].Inc()
			}
		},
		Fallback: func(on bool) {
			if on {
				m.fallback.Inc()
			} else {
				m.fallback.Dec()
			}
		},
		PasswordWait: func(_ context.Context, w observe.PasswordWait) {
			m.waits[number(w.Known)].Observe(w.Wait.Seconds())
			if w.Busy {
				m.busy[number(w.Known)].Inc()
			}
		},
		PasswordHash: func(_ context.Context, h observe.PasswordHash) {
			m.hashes.WithLabelValues(h.Algorithm).Observe(h.Duration.Seconds())
		},
		Bus: m.bus,
		Audit: func(kind string, dropped bool) {
			if !m.kinds[kind] {
				kind = "other"
			}
			if dropped {
				m.dropped.WithLabelValues(kind).Inc()
				return
			}
			m.events.WithLabelValues(kind).Inc()
		},
		Pruned: func(table string, rows int) { m.pruned.WithLabelValues(table).Add(float64(rows)) },
		Replicas: func(live int, mismatch bool) {
			m.replicas.Set(float64(live))
			m.mismatch.Set(float64(number(mismatch)))
		},
	}
}

func (m *Metrics) bus(b observe.Bus) {
	reason := min(b.Reason, observe.Reasons-1)
	switch b.Event {
	case observe.LeaseGained:
		m.lease.WithLabelValues(b.Courier).Set(1)
	case observe.LeaseLost:
		m.lease.WithLabelValues(b.Courier).Set(0)
	case observe.Blind:
		m.blind[reason].Add(b.Blind.Seconds())
	case observe.StaleServed:
		m.stale.Add(float64(b.Messages))
	case observe.Flushed:
		m.flushes[reason].Inc()
	case observe.Received:
		m.messages.WithLabelValues(b.Courier, "received").Add(float64(b.Messages))
	case observe.Sent:
		m.messages.WithLabelValues(b.Courier, "sent").Add(float64(b.Messages))
	case observe.Lagged:
		m.lag.WithLabelValues(b.Courier).Observe(b.Lag.Seconds())
	}
}

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
