package prometheus

import (
	"strconv"
	"strings"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/vestibule-auth/vestibule/observe"
)

// descriptor describes a metric, for the reference.
type descriptor struct{ name, kind, labels, help string }

// create makes the metrics.
func (m *Metrics) create(version string) {
	m.decisions = m.counterVec("decisions_total", "Decisions of the middleware about requests. outcome is none (no credentials), accepted, rejected or error (a dependency failed).", "scheme", "outcome", "code")
	m.durations = m.histogramVec("decision_duration_seconds", "How long decisions take.", buckets(250e-9, 2.5), "scheme", "outcome")

	lookups := m.counterVec("cache_lookups_total", "Lookups in caches. kind identity is the middleware's table; result is hit, negative (known to be unknown), shared (waited for another lookup), miss, bypass or flood (rejected).", "kind", "result")
	for k := range observe.Kinds {
		for r := range observe.Results {
			if k != observe.Blocks { // is not looked up
				m.lookups[k][r] = lookups.WithLabelValues(k.String(), r.String())
			} else {
				m.lookups[k][r] = prom.NewCounter(prom.CounterOpts{Name: "unused"})
			}
		}
	}
	m.describe("cache_entries", "gauge", "Entries of the caches.", "kind")
	m.describe("cache_bytes", "gauge", "Estimated memory of the entries.", "kind")
	m.describe("deny_entries", "gauge", "Entries of the deny sets.")
	m.describe("deny_unused", "gauge", "Number of deny sets that are not used now.")
	m.collectors = append(m.collectors, m.sizes)

	m.lease = m.gaugeVec("bus_lease", "1 while the cache answers, because every change is known to have arrived.", "courier")
	blind := m.counterVec("bus_blind_seconds_total", "Time without a lease, in which each lookup queries the store. reason is start, reconnect, gap, clock or timeout.", "reason")
	flushes := m.counterVec("bus_flushes_total", "How often the whole cache was removed.", "reason")
	for r := range observe.Reasons {
		m.blind[r], m.flushes[r] = blind.WithLabelValues(r.String()), flushes.WithLabelValues(r.String())
	}
	m.lag = m.histogramVec("bus_lag_seconds", "How long messages take (outbox), or a question on their connection (notify). Approximate.", buckets(1e-3, 5), "courier")
	m.messages = m.counterVec("bus_messages_total", "Messages about changes.", "courier", "direction")
	m.stale = m.counter("stale_answers_total", "Uses of cached entries without a lease (cached.Options.ServeStale).")

	m.store = m.histogramVec("store_duration_seconds", "How long statements and commands take. op is the operation with its table; outcome is ok, answer (such as no row) or fault.", buckets(50e-6, 5), "store", "op", "outcome")

	limits := m.counterVec("limit_decisions_total", "Decisions of rate limits. limit is account, place, net, source, global or request; outcome is allowed or denied.", "limit", "outcome")
	for l := range observe.Limits {
		m.limits[l] = [2]prom.Counter{limits.WithLabelValues(l.String(), "denied"), limits.WithLabelValues(l.String(), "allowed")}
	}
	m.fallback = m.gauge("limit_fallback", "Stores of rate limits that fail, so that this process counts in its own memory.")

	waits := m.histogramVec("password_wait_seconds", "How long logins wait for a slot of the password hasher. class is known or stranger.", buckets(1e-6, 2.5), "class")
	busy := m.counterVec("password_busy_total", "Logins that got no slot and were answered with 503.", "class")
	for i, class := range [...]string{"stranger", "known"} {
		m.waits[i], m.busy[i] = waits.WithLabelValues(class), busy.WithLabelValues(class)
	}
	m.hashes = m.histogramVec("password_hash_seconds", "How long a hash takes. algorithm is argon2, bcrypt, pbkdf2, scrypt, or other (also for unknown accounts).", buckets(1e-3, 2.5), "algorithm")

	m.events = m.counterVec("audit_events_total", "Audit events.", "kind")
	m.dropped = m.counterVec("audit_dropped_total", "Audit events that were not delivered because the queue was full.", "kind")

	m.pruned = m.counterVec("pruned_rows_total", "Expired rows that were deleted.", "table")
	m.replicas = m.gauge("replicas", "Processes that follow the courier of the database. 0 without one.")
	m.mismatch = m.gauge("config_mismatch", "1 if processes have different settings or master keys.")
	build := m.gaugeVec("build_info", "1, with the version of the module.", "version")
	build.WithLabelValues(version).Set(1)
}

// buckets returns the bounds from least to most, in steps of 1, 2.5 and 5 times a power of ten. They
// are parsed, because 0.0001 is not ten times 0.00001 in binary.
func buckets(least, most float64) (list []float64) {
	for power := -9; power < 2; power++ {
		for _, step := range [...]string{"1", "2.5", "5"} {
			b, err := strconv.ParseFloat(step+"e"+strconv.Itoa(power), 64)
			if err == nil && b >= least && b <= most {
				list = append(list, b)
			}
		}
	}
	return list
}

const namespace = "vestibule_"

func (m *Metrics) describe(name, kind, help string, labels ...string) string {
	m.descriptors = append(m.descriptors, descriptor{namespace + name, kind, strings.Join(labels, ", "), help})
	return namespace + name
}

func (m *Metrics) counterVec(name, help string, labels ...string) *prom.CounterVec {
	v := prom.NewCounterVec(prom.CounterOpts{Name: m.describe(name, "counter", help, labels...), Help: help}, labels)
	m.collectors = append(m.collectors, v)
	return v
}

func (m *Metrics) counter(name, help string) prom.Counter {
	v := prom.NewCounter(prom.CounterOpts{Name: m.describe(name, "counter", help), Help: help})
	m.collectors = append(m.collectors, v)
	return v
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prom.GaugeVec {
	v := prom.NewGaugeVec(prom.GaugeOpts{Name: m.describe(name, "gauge", help, labels...), Help: help}, labels)
	m.collectors = append(m.collectors, v)
	return v
}

func (m *Metrics) gauge(name, help string) prom.Gauge {
	v := prom.NewGauge(prom.GaugeOpts{Name: m.describe(name, "gauge", help), Help: help})
	m.collectors = append(m.collectors, v)
	return v
}

func (m *Metrics) histogramVec(name, help string, bounds []float64, labels ...string) *prom.HistogramVec {
	v := prom.NewHistogramVec(prom.HistogramOpts{Name: m.describe(name, "histogram", help, labels...), Help: help, Buckets: bounds}, labels)
	m.collectors = append(m.collectors, v)
	return v
}
