package health

import (
	"context"
	"sync"
	"time"
)

// hold is how long a result is used. Anyone can reach the handlers, so their cost must not grow with the
// number of requests.
const hold = time.Second

// shared makes the checks for all requests of a handler: never twice at the same time, and not again
// while a result is at most a second old.
type shared struct {
	checks Checks

	mu      sync.Mutex
	last    report
	at      time.Time     // when last was made; zero: never
	running chan struct{} // closed when the checks that are under way have ended; nil: none are
}

// failed is the result of checks that did not end.
var failed = report{Status: "degraded", Store: "unavailable"}

// get returns a result. If ctx ends first, the client has disconnected, and the result does not matter.
func (s *shared) get(ctx context.Context) report {
	s.mu.Lock()
	for {
		if age := s.checks.Clock().Sub(s.at); !s.at.IsZero() && age >= 0 && age <= hold {
			defer s.mu.Unlock()
			return s.last
		}
		if s.running == nil {
			s.running = make(chan struct{})
			go s.run(s.running)
		}
		done := s.running
		s.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return failed
		}
		s.mu.Lock()
		if s.running == nil { // a result that is older than hold, because this goroutine waited
			defer s.mu.Unlock()
			return s.last
		}
	}
}

// run makes the checks. It does not depend on one request, whose client may disconnect.
func (s *shared) run(done chan struct{}) {
	out := failed // if a function panics
	defer func() {
		_ = recover() // its text may name hosts
		s.mu.Lock()
		s.last, s.at, s.running = out, s.checks.Clock(), nil
		s.mu.Unlock()
		close(done)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), s.checks.Timeout)
	defer cancel()
	out = s.checks.run(ctx)
}
