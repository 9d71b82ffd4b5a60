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
	entries, bytes     *prom.Desc
	denied, denyUnused *prom.Desc

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

		denied:     prom.NewDesc(namespace+"deny_entries", "Entries of the deny sets.", nil, nil),
		denyUnused: prom.NewDesc(namespace+"deny_unused", "Number of deny sets that are not used now.", nil, nil),
	}
}

// WatchCache adds the size of a *cached.Store or *cached.Parts to vestibule_cache_entries and
// vestibule_cache_bytes. If a *cached.Store has a deny set, vestibule_deny_entries counts its
// entries. While the set is not used and tokens are checked in the store, it counts in
// vestibule_deny_unused.
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
	ch <- s.denied
	ch <- s.denyUnused
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
	sets, denied, unused := 0, 0, 0
	for _, c := range s.caches {
		d, ok := c.(interface{ DenySet() cached.DenyState })
		if !ok {
			continue
		}
		state := d.DenySet()
		if !state.Used && state.Why == "" { // it has no deny set
			continue
		}
		sets++
		denied += state.Entries
		if !state.Used {
			unused++
		}
	}
	if sets > 0 {
		ch <- prom.MustNewConstMetric(s.denied, prom.GaugeValue, float64(denied))
		ch <- prom.MustNewConstMetric(s.denyUnused, prom.GaugeValue, float64(unused))
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
