package redisstore

import (
	"errors"
	"sync"
	"time"
)

const (
	maxSilent = 3           // calls in a row without an answer before the circuit opens
	openFor   = time.Second // then all calls fail immediately
)

var errOpen = errors.New("no answer to the last calls; calls fail for up to a second")

// outcome is the result of a call for the circuit.
type outcome uint8

const (
	unknown  outcome = iota // the caller stopped to wait
	answered                // also with an error
	silent                  // no answer in time, or no connection
)

// circuit makes calls fail immediately while Redis does not answer. Otherwise every request would
// wait for the timeout, and requests would pile up.
type circuit struct {
	now func() time.Time

	mu      sync.Mutex
	silent  int       // calls in a row
	until   time.Time // zero: closed
	probing bool      // a call tries again
}

func newCircuit(now func() time.Time) *circuit { return &circuit{now: now} }

// enter returns an error if the call must not be made. probe is true for the one call that tries
// again.
func (c *circuit) enter() (probe bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until.IsZero() {
		return false, nil
	}
	if c.probing || c.now().Before(c.until) {
		return false, errOpen
	}
	c.probing = true
	return true, nil
}

// leave records the result of a call.
func (c *circuit) leave(probe bool, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if probe {
		c.probing = false
	}
	switch o {
	case answered:
		c.silent, c.until = 0, time.Time{}
	case silent:
		if c.silent++; probe || c.silent >= maxSilent {
			c.until = c.now().Add(openFor)
		}
	}
}
