package cached

import (
	"context"

	"github.com/vestibule-auth/vestibule/observe"
)

// looked reports a lookup. A caller that waited for the store, or for a lookup of another one, marks
// its decision.
func (s *Store) looked(ctx context.Context, kind Kind, r observe.Result) {
	if s.sink == nil {
		return
	}
	if r == observe.Miss || r == observe.Shared || r == observe.Bypass {
		observe.MarkStored(ctx)
	}
	if s.sink.Lookup != nil {
		s.sink.Lookup(ctx, observe.Lookup{Kind: observe.Kind(kind), Result: r})
	}
}

// found reports a lookup that the cache answered.
func (s *Store) found(ctx context.Context, kind Kind, unknown bool) {
	if unknown {
		s.looked(ctx, kind, observe.Negative)
		return
	}
	s.looked(ctx, kind, observe.Hit)
}

// reported passes on what happened to messages.
func (s *Store) reported(b observe.Bus) {
	if s.sink != nil && s.sink.Bus != nil {
		s.sink.Bus(b)
	}
}

// reported is Store.reported with the name of the courier.
func (f *following) reported(b observe.Bus) {
	if f.sink != nil && f.sink.Bus != nil {
		b.Courier = f.name
		f.sink.Bus(b)
	}
}

// nameOf returns the name of a courier, for metrics.
func nameOf(courier any) string {
	if c, ok := courier.(interface{ CourierName() string }); ok {
		if name := c.CourierName(); name == "notify" || name == "outbox" {
			return name
		}
	}
	return "other"
}
