package prometheus

import (
	"sync"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// sizes collects the sizes of caches when Prometheus asks for them.
type sizes struct {
	entries, bytes *prom.Desc

	mu     sync.Mutex
	caches []interface {
		UsageOf(cached.Kind) cached.Usage
	}
	tables []*authn.Table
}

func newSizes() *sizes {
	return &sizes{
		entries: prom.NewDesc(namespace+"cache_entries", "Entries of the caches.", []string{"kind"}, nil),
		bytes:   prom.NewDesc(namespace+"cache_bytes", "Estimated memory of the entries.", []string{"kind"}, nil),
	}
}

// WatchCache adds the size of a *cached.Store or *cached.Parts to vestibule_cache_entries and
// vestibule_cache_bytes.
func (m *Metrics) WatchCache(cache interface {
	UsageOf(cached.Kind) cached.Usage
}) {
	m.sizes.mu.Lock()
	defer m.sizes.mu.Unlock()
	m.sizes.caches = append(m.sizes.caches, cache)
}

// WatchTable adds the size of the identities that a middleware keeps, with the kind identity. Set the
// same table as authn.Options.Table.
func (m *Metrics) WatchTable(table *authn.Table) {
	m.sizes.mu.Lock()
	defer m.sizes.mu.Unlock()
	m.sizes.tables = append(m.sizes.tables, table)
}

func (s *sizes) Describe(ch chan<- *prom.Desc) {
	ch <- s.entries
	ch <- s.bytes
}

func (s *sizes) Collect(ch chan<- prom.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	send := func(kind observe.Kind, entries, bytes int) {
		ch <- prom.MustNewConstMetric(s.entries, prom.GaugeValue, float64(entries), kind.String())
		ch <- prom.MustNewConstMetric(s.bytes, prom.GaugeValue, float64(bytes), kind.String())
	}
	if len(s.caches) > 0 {
		for k := range bus.Kinds {
			if k == bus.Blocks {
				continue
			}
			var entries, bytes int
			for _, c := range s.caches {
				u := c.UsageOf(k)
				entries, bytes = entries+u.Entries, bytes+u.Bytes
			}
			send(observe.Kind(k), entries, bytes)
		}
	}
	if len(s.tables) > 0 {
		var entries, bytes int
		for _, t := range s.tables {
			u := t.Usage()
			entries, bytes = entries+u.Entries, bytes+u.Bytes
		}
		send(observe.Identities, entries, bytes)
	}
}
