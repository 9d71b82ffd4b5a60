package cached

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage/bus"
)

// The limits of messages of an accelerator. What exceeds them is left to the courier.
const (
	maxHurried = 1024 // texts that wait to be published
	maxText    = 2048 // bytes of a text
)

// hurried passes changes on by an accelerator. A text is the sender's random name and a change. Whoever
// can write to the channel can at most make caches read records again: a change only removes entries,
// and a text that removes everything is ignored.
type hurried struct {
	by    bus.Accelerator
	self  string
	queue chan string
}

func newHurried(o *Options) (*hurried, error) {
	switch {
	case o.Accelerator == nil:
		return nil, nil
	case o.Courier == nil:
		return nil, errors.New("cached: New: Accelerator requires a Courier, because an accelerator can lose messages")
	}
	return &hurried{o.Accelerator, rand.Text(), make(chan string, maxHurried)}, nil
}

// finish applies changes and passes them on, unless ctx's transaction does so at its end.
func (s *Store) finish(ctx context.Context, changes []Change) {
	s.apply(ctx, changes)
	if s.hurry != nil && !s.pendingIn(ctx) {
		s.hurry.add(changes)
	}
}

// add puts changes into the queue. It never waits.
func (h *hurried) add(changes []Change) {
	for _, c := range changes {
		text, err := c.MarshalText()
		if err != nil || c.All || len(text) > maxText {
			continue
		}
		select {
		case h.queue <- h.self + " " + string(text):
		default:
			return
		}
	}
}

// publish publishes the queue until ctx ends.
func (h *hurried) publish(ctx context.Context) {
	for {
		select {
		case text := <-h.queue:
			h.try(func() error { return h.by.Publish(ctx, text) })
		case <-ctx.Done():
			return
		}
	}
}

// listen applies what others publish until ctx ends.
func (h *hurried) listen(ctx context.Context, s *Store) {
	for ctx.Err() == nil {
		h.try(func() error { return h.by.Listen(ctx, func(text string) { h.receive(text, s) }) })
		wait := time.NewTimer(time.Second)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
		}
	}
}

// receive applies a text of another process.
func (h *hurried) receive(text string, s *Store) {
	from, change, ok := strings.Cut(text, " ")
	var c Change
	if !ok || from == h.self || len(change) > maxText || c.UnmarshalText([]byte(change)) != nil || c.All {
		return
	}
	c.Apply(s)
}

// try calls f. Its failures cost speed only, so they are dropped: the accelerator logs them.
func (h *hurried) try(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("cached: panic of type %T in Options.Accelerator", v)
		}
	}()
	return f()
}
