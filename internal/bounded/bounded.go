// Package bounded has the map of the caches: bounded in number and in bytes, whatever is put into
// it. Its owner decides what an entry means and when it has ended.
package bounded

// Map has two halves: when the young one is full it becomes the old one, and the old one is
// dropped; an entry that is used moves to the young half. So what is used stays, each operation
// takes constant time, and there is no list. It is not safe for concurrent use: its owner has a
// lock, which most often guards more than the Map.
type Map[K comparable, V any] struct {
	entries, bytes int // bounds of a half
	young, old     half[K, V]
}

type half[K comparable, V any] struct {
	items map[K]item[V]
	bytes int
}

type item[V any] struct {
	value V
	size  int
}

// New returns a Map for so many entries and bytes together; at least two entries. Bytes are those
// that Put is told.
func New[K comparable, V any](entries, bytes int) *Map[K, V] {
	return &Map[K, V]{entries: max(entries/2, 1), bytes: max(bytes/2, 1)}
}

// Get returns the value of a key.
func (m *Map[K, V]) Get(k K) (v V, ok bool) {
	if it, ok := m.young.items[k]; ok {
		return it.value, true
	}
	it, ok := m.old.take(k)
	if ok {
		m.add(k, it)
	}
	return it.value, ok
}

// Put adds or replaces an entry of that size. One that is larger than half of the bound is not
// kept, and neither is the one that it replaces.
func (m *Map[K, V]) Put(k K, v V, size int) {
	m.Drop(k)
	if size <= m.bytes {
		m.add(k, item[V]{v, size})
	}
}

// Drop removes an entry.
func (m *Map[K, V]) Drop(k K) {
	m.young.take(k)
	m.old.take(k)
}

// Usage returns how many entries there are, and their bytes.
func (m *Map[K, V]) Usage() (entries, bytes int) {
	return len(m.young.items) + len(m.old.items), m.young.bytes + m.old.bytes
}

// add puts an entry that is in no half into the young one.
func (m *Map[K, V]) add(k K, it item[V]) {
	if len(m.young.items) >= m.entries || m.young.bytes+it.size > m.bytes {
		m.old, m.young = m.young, half[K, V]{}
	}
	if m.young.items == nil {
		m.young.items = make(map[K]item[V])
	}
	m.young.items[k] = it
	m.young.bytes += it.size
}

func (h *half[K, V]) take(k K) (item[V], bool) {
	it, ok := h.items[k]
	if ok {
		delete(h.items, k)
		h.bytes -= it.size
	}
	return it, ok
}
