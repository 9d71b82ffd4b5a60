package observe

import (
	"context"
	"slices"
)

// Join returns a Sink that passes each report to all sinks, in order. Nil sinks are skipped. It
// returns nil if all sinks are nil.
func Join(sinks ...*Sink) *Sink {
	sinks = slices.DeleteFunc(slices.Clone(sinks), func(s *Sink) bool { return s == nil })
	switch len(sinks) {
	case 0:
		return nil
	case 1:
		return sinks[0]
	}
	return &Sink{
		Decision:     all(sinks, func(s *Sink) func(context.Context, Decision) { return s.Decision }),
		Lookup:       all(sinks, func(s *Sink) func(context.Context, Lookup) { return s.Lookup }),
		StoreCall:    all(sinks, func(s *Sink) func(context.Context, StoreCall) { return s.StoreCall }),
		Limit:        all(sinks, func(s *Sink) func(context.Context, Limit) { return s.Limit }),
		PasswordWait: all(sinks, func(s *Sink) func(context.Context, PasswordWait) { return s.PasswordWait }),
		PasswordHash: all(sinks, func(s *Sink) func(context.Context, PasswordHash) { return s.PasswordHash }),
		Bus:          alone(sinks, func(s *Sink) func(Bus) { return s.Bus }),
		Fallback:     alone(sinks, func(s *Sink) func(bool) { return s.Fallback }),
		Audit:        pairs(sinks, func(s *Sink) func(string, bool) { return s.Audit }),
		Pruned:       pairs(sinks, func(s *Sink) func(string, int) { return s.Pruned }),
		Replicas:     pairs(sinks, func(s *Sink) func(int, bool) { return s.Replicas }),
	}
}

// present returns the functions of the sinks that are set.
func present[F any](sinks []*Sink, of func(*Sink) F, set func(F) bool) (list []F) {
	for _, s := range sinks {
		if f := of(s); set(f) {
			list = append(list, f)
		}
	}
	return list
}

func all[V any](sinks []*Sink, of func(*Sink) func(context.Context, V)) func(context.Context, V) {
	list := present(sinks, of, func(f func(context.Context, V)) bool { return f != nil })
	if len(list) == 0 {
		return nil
	}
	return func(ctx context.Context, v V) {
		for _, f := range list {
			f(ctx, v)
		}
	}
}

func alone[V any](sinks []*Sink, of func(*Sink) func(V)) func(V) {
	list := present(sinks, of, func(f func(V)) bool { return f != nil })
	if len(list) == 0 {
		return nil
	}
	return func(v V) {
		for _, f := range list {
			f(v)
		}
	}
}

func pairs[V, W any](sinks []*Sink, of func(*Sink) func(V, W)) func(V, W) {
	list := present(sinks, of, func(f func(V, W)) bool { return f != nil })
	if len(list) == 0 {
		return nil
	}
	return func(v V, w W) {
		for _, f := range list {
			f(v, w)
		}
	}
}
