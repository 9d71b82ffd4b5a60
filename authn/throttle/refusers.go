package throttle

import (
	"container/heap"
	"container/list"
	"time"
)

const maxRefusers = 10_000

// refuserTable holds the addresses and networks that exceed a limit. If it is full, it drops one
// that has expired. If none has, the IPv4 /16 or IPv6 /32 with most entries loses the one that
// expires first. So a client with many addresses does not evict the entries of others.
//
// A change takes logarithmic time, because each rejected credential of a flood makes one. The table
// is not safe for concurrent use. The zero value is empty.
type refuserTable struct {
	places map[string]*list.Element // of order
	order  list.List                // of *refuserEntry: those that expire first come first
	vast   map[string]*refuserGroup
	groups refuserGroups
}

// refuser is an address or a network that exceeds a limit.
type refuser struct {
	within string    // IPv4 /16 or IPv6 /32
	until  time.Time // when it is forgotten
	paused time.Time // until then, unknown credentials get 429
}

type refuserEntry struct {
	refuser
	place string
	group *refuserGroup
	own   *list.Element // of group.order
}

// refuserGroup holds the entries of an IPv4 /16 or IPv6 /32.
type refuserGroup struct {
	name  string
	order list.List // of *refuserEntry
	index int       // in refuserGroups
}

func (t *refuserTable) get(place string) refuser {
	if e := t.places[place]; e != nil {
		return e.Value.(*refuserEntry).refuser
	}
	return refuser{}
}

// put sets the entry of a place. Callers only move until forward, so the entry becomes the last one
// to expire.
func (t *refuserTable) put(place string, p refuser, now time.Time) {
	if e := t.places[place]; e != nil {
		entry := e.Value.(*refuserEntry)
		entry.refuser = p
		t.order.MoveToBack(e)
		entry.group.order.MoveToBack(entry.own)
		return
	}
	if t.places == nil {
		t.places, t.vast = make(map[string]*list.Element), make(map[string]*refuserGroup)
	}
	if len(t.places) >= maxRefusers {
		t.makeRoom(now)
	}
	g := t.vast[p.within]
	if g == nil {
		g = &refuserGroup{name: p.within}
		t.vast[p.within] = g
		heap.Push(&t.groups, g)
	}
	entry := &refuserEntry{refuser: p, place: place, group: g}
	entry.own = g.order.PushBack(entry)
	t.places[place] = t.order.PushBack(entry)
	heap.Fix(&t.groups, g.index)
}

func (t *refuserTable) makeRoom(now time.Time) {
	first := t.order.Front().Value.(*refuserEntry)
	if now.Before(first.until) {
		first = t.groups[0].order.Front().Value.(*refuserEntry)
	}
	t.order.Remove(t.places[first.place])
	delete(t.places, first.place)
	g := first.group
	if g.order.Remove(first.own); g.order.Len() > 0 {
		heap.Fix(&t.groups, g.index)
		return
	}
	heap.Remove(&t.groups, g.index)
	delete(t.vast, g.name)
}

// refuserGroups is a heap. The group with most entries is the first one.
type refuserGroups []*refuserGroup

func (h refuserGroups) Len() int           { return len(h) }
func (h refuserGroups) Less(i, j int) bool { return h[i].order.Len() > h[j].order.Len() }
func (h refuserGroups) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *refuserGroups) Push(x any) {
	g := x.(*refuserGroup)
	g.index = len(*h)
	*h = append(*h, g)
}

func (h *refuserGroups) Pop() any {
	last := len(*h) - 1
	g := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return g
}
