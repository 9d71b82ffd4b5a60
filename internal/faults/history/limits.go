package history

import (
	"maps"
	"slices"
	"time"
)

// Limit is how many attempts of one Sub are allowed.
type Limit struct {
	Most     int           // immediately
	Refill   time.Duration // after which one more is allowed
	Share    int           // what a replica allows by itself while the shared counts cannot be reached
	Replicas int
	Lost     []string // faults that make the shared counts begin again
}

// limits checks that the attempts of one Sub that were allowed are not more than the limit, with
// what its documentation says about failures.
func (c *checker) limits(list []Event) {
	allowed := map[string][]Event{}
	for _, e := range list {
		if e.Op == Attempt && e.Res == Yes {
			allowed[e.Sub] = append(allowed[e.Sub], e)
			c.Attempts++
		}
	}
	for _, sub := range slices.Sorted(maps.Keys(allowed)) {
		events := allowed[sub]
		begin, end := events[0].T0, events[0].T1
		for _, e := range events {
			begin, end = min(begin, e.T0), max(end, e.T1)
		}
		l := c.bounds.Limit
		most := l.Most + l.Share*l.Replicas
		if l.Refill > 0 {
			most += int(time.Duration(end-begin)/l.Refill) + 1
		}
		for _, f := range list {
			if f.Op == Fault && slices.Contains(l.Lost, f.Note) && f.T0 <= end && f.T1 >= begin {
				most += l.Most
			}
		}
		if len(events) > most {
			c.bad("I7", events, "allowed %d attempts of %s in %v, at most %d", len(events), sub, time.Duration(end-begin), most)
		}
	}
}
