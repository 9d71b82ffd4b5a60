package audit

import (
	"context"
	"sync"

	"github.com/vestibule-auth/vestibule/observe"
)

// Signals returns a Sink that turns changes of state into audit events: [LimitFallback], [BusBlind],
// [BusRestored], [StaleServed] and [ConfigMismatch]. Join it with the Sink of your metrics:
//
//	sink := observe.Join(metrics.Sink(), audit.Signals(events))
//
// A state is reported when it begins, not again while it lasts. A nil Notifier gives a nil Sink.
func Signals(n *Notifier) *observe.Sink {
	if n == nil {
		return nil
	}
	s := &signals{n: n}
	return &observe.Sink{Bus: s.bus, Fallback: s.fallback, Replicas: s.replicas}
}

type signals struct {
	n *Notifier

	mu       sync.Mutex
	blind    map[string]bool // by courier
	mismatch bool
}

func (s *signals) bus(b observe.Bus) {
	e := Event{Scheme: "bus"}
	switch b.Event {
	case observe.LeaseLost:
		if b.Reason == observe.Start || !s.changed(b.Courier, true) { // at the start nothing was lost
			return
		}
		e.Kind, e.Reason = BusBlind, b.Reason.String()
	case observe.LeaseGained:
		if !s.changed(b.Courier, false) {
			return
		}
		e.Kind = BusRestored
	case observe.StaleServed:
		e.Kind, e.Count = StaleServed, b.Messages
	default:
		return
	}
	s.n.Notify(context.Background(), e)
}

// changed records whether a cache is blind. It returns false if that was so before.
func (s *signals) changed(courier string, blind bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blind == nil {
		s.blind = make(map[string]bool)
	}
	was := s.blind[courier]
	s.blind[courier] = blind
	return was != blind
}

func (s *signals) fallback(on bool) {
	if on {
		s.n.Notify(context.Background(), Event{Kind: LimitFallback, Scheme: "throttle"})
	}
}

func (s *signals) replicas(_ int, mismatch bool) {
	s.mu.Lock()
	began := mismatch && !s.mismatch
	s.mismatch = mismatch
	s.mu.Unlock()
	if began {
		s.n.Notify(context.Background(), Event{Kind: ConfigMismatch, Scheme: "bus"})
	}
}
