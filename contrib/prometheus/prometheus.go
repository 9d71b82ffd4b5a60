// Package prometheus exports what Vestibule does as metrics for Prometheus. Create one [Metrics], and
// pass its Sink to everything that you create:
//
//	metrics, err := prometheus.New(registry, nil)
//	sink := metrics.Sink()
//	db, err := postgres.Open(url, &gormstore.Options{Sink: sink})
//	auth := authn.New(chain, &authn.Options{Sink: sink})
//	metrics.WatchCache(store) // a cached.Store, for its size
//
// Serve the metrics on an address that only Prometheus reaches. They contain no subject, client,
// address, path or credential, but they show how often things happen.
//
// All labels have few values. A code, scheme or kind that is not known is exported as "other", so
// that a scheme that puts the text of a request there cannot fill the memory of Prometheus, or
// reveal the text; see [Options].
//
// The folder grafana of this module has a dashboard, vestibule.json, and the rules alerts.yml.
package prometheus

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/observe"
)

// Options configure [Metrics]. A nil *Options means all defaults.
type Options struct {
	// Codes are codes of authn.Error that your own schemes return. They are exported in addition to
	// the codes of the library.
	Codes []string
	// Kinds are kinds of audit events of your own schemes. They are exported in addition to the
	// kinds of the library.
	Kinds []audit.Kind
	// Version is the version for vestibule_build_info; "" means the version of the module that the
	// build recorded.
	Version string
}

// maxSchemes is the number of schemes that have a label of their own. A program has a fixed number,
// unless it names schemes after something in a request.
const maxSchemes = 64

// Metrics are the metrics of a process. Create them with [New]. They are safe for concurrent use.
type Metrics struct {
	codes, kinds map[string]bool

	decisions   *prom.CounterVec
	durations   *prom.HistogramVec
	lookups     [observe.Kinds][observe.Results]prom.Counter
	lease       *prom.GaugeVec
	blind       [observe.Reasons]prom.Counter
	flushes     [observe.Reasons]prom.Counter
	lag         *prom.HistogramVec
	messages    *prom.CounterVec
	stale       prom.Counter
	store       *prom.HistogramVec
	limits      [observe.Limits][2]prom.Counter
	fallback    prom.Gauge
	waits       [2]prom.Observer
	busy        [2]prom.Counter
	hashes      *prom.HistogramVec
	events      *prom.CounterVec
	dropped     *prom.CounterVec
	pruned      *prom.CounterVec
	replicas    prom.Gauge
	mismatch    prom.Gauge
	collectors  []prom.Collector
	mu          sync.Mutex // of changes of known
	known       atomic.Pointer[map[decision]*counted]
	schemes     map[string]bool
	sizes       *sizes
	descriptors []descriptor
}

// decision identifies the counters of a decision.
type decision struct {
	scheme  string
	outcome observe.Outcome
	code    string
}

type counted struct {
	total    prom.Counter
	duration prom.Observer
}

// New creates the metrics and registers them. It returns the error of the registry, for example if they
// are registered already. A nil registry means that they are not registered; pass the Metrics, which are
// a Collector, to your own.
func New(registry prom.Registerer, opts *Options) (*Metrics, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	m := &Metrics{codes: make(map[string]bool), kinds: make(map[string]bool), schemes: make(map[string]bool), sizes: newSizes()}
	for _, c := range slices.Concat(knownCodes, o.Codes) {
		m.codes[c] = true
	}
	for _, k := range slices.Concat(audit.Kinds(), o.Kinds) {
		m.kinds[string(k)] = true
	}
	m.known.Store(&map[decision]*counted{})
	m.create(versionOf(o.Version))
	if registry != nil {
		if err := registry.Register(m); err != nil {
			return nil, fmt.Errorf("prometheus: New: %w", err)
		}
	}
	return m, nil
}

func versionOf(version string) string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/vestibule-auth/vestibule" {
				return d.Version
			}
		}
	}
	return "unknown"
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prom.Desc) {
	for _, c := range m.collectors {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prom.Metric) {
	for _, c := range m.collectors {
		c.Collect(ch)
	}
}

// counters returns the counters of a decision. A decision that was made before costs one look into a
// map that does not change.
func (m *Metrics) counters(d decision) *counted {
	if c := (*m.known.Load())[d]; c != nil {
		return c
	}
	return m.learn(d)
}

// learn adds a decision. What is not known is "other", so that the number of series is bounded. The map
// has the names as they come in only if they are known.
func (m *Metrics) learn(d decision) *counted {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.code != "" && !m.codes[d.code] {
		d.code = "other"
	}
	if d.scheme != "" && !m.schemes[d.scheme] {
		if len(m.schemes) >= maxSchemes || len(d.scheme) > 64 {
			d.scheme = "other"
		} else {
			m.schemes[d.scheme] = true
		}
	}
	old := *m.known.Load()
	if c := old[d]; c != nil {
		return c
	}
	c := &counted{
		total:    m.decisions.WithLabelValues(d.scheme, d.outcome.String(), d.code),
		duration: m.durations.WithLabelValues(d.scheme, d.outcome.String()),
	}
	next := make(map[decision]*counted, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	next[d] = c
	m.known.Store(&next)
	return c
}
