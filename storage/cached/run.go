package cached

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage/bus"
)

// The pause before the courier connects again. It grows while connecting fails.
const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// Run follows Options.Courier until ctx ends, and returns the error of ctx. It also keeps
// Options.DenySet current, with or without a courier. While it does not run, or the courier cannot
// connect, each lookup queries the store. Run reconnects automatically and logs
// each change between the two states once.
//
// Call it once, in a goroutine of its own, before the server starts to listen:
//
//	go store.Run(ctx)
//
// If there is neither a courier nor a deny set, or if Run is running already, it immediately returns
// another error.
func (s *Store) Run(ctx context.Context) error {
	f := s.follow
	if f == nil && s.denied == nil {
		return errors.New("cached: Run: neither Options.Courier nor Options.DenySet is set")
	}
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("cached: Run: already running")
	}
	defer s.running.Store(false)
	if f == nil {
		s.denied.run(ctx, s.logger)
		return ctx.Err()
	}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	if s.denied != nil {
		watch.Go(func() { s.denied.run(watching, s.logger) })
	}
	watch.Go(func() { f.watch(watching) })
	if a, ok := f.courier.(bus.Announcer); ok {
		watch.Go(func() { announce(watching, a) })
	}
	if h := s.hurry; h != nil {
		watch.Go(func() { h.publish(watching) })
		watch.Go(func() { h.listen(watching, s) })
	}
	defer watch.Wait()
	defer stop()
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		proved, err := s.followOnce(ctx)
		f.linked.Store(false)
		f.lease.Drop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if proved {
			f.lost.Add(1)
			pause = minPause
		}
		f.fault.Store(&err)
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
	}
}

// Run follows Options.Courier; see [Store.Run].
func (c *Parts) Run(ctx context.Context) error { return c.s.Run(ctx) }

// Freshness returns the state of the cache; see [Store.Freshness].
func (c *Parts) Freshness() Freshness { return c.s.Freshness() }

// followOnce calls Follow once. proved reports that it granted a lease. A panic becomes an error.
func (s *Store) followOnce(ctx context.Context) (proved bool, err error) {
	one := &follower{s: s}
	s.follow.accounts.Store(false)
	defer func() {
		one.ended.Store(true)
		proved = one.proved
		if v := recover(); v != nil {
			err = fmt.Errorf("cached: panic of type %T in Courier.Follow", v) // without the value, which may contain a secret
		}
		if err == nil {
			err = errors.New("cached: Courier.Follow returned nil")
		}
	}()
	return false, s.follow.courier.Follow(ctx, one)
}

// announce calls a until ctx ends. A failure is that of the database, which the courier reports.
func announce(ctx context.Context, a bus.Announcer) {
	tick := time.NewTicker(bus.AnnounceEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, bus.AnnounceEvery)
		_ = a.Announce(one)
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// follower is the bus.Follower of one call of Follow.
type follower struct {
	s      *Store
	proved bool
	ended  atomic.Bool
}

// Apply implements bus.Follower.
func (f *follower) Apply(changes ...Change) {
	for _, c := range changes {
		c.Apply(f.s)
	}
	if len(changes) > 0 {
		f.s.follow.reported(observe.Bus{Event: observe.Received, Messages: len(changes)})
	}
}

// FlushAll implements bus.Follower.
func (f *follower) FlushAll() { f.flush(observe.Gap) }

func (f *follower) flush(why observe.Reason) {
	f.s.FlushAll()
	f.s.follow.reported(observe.Bus{Event: observe.Flushed, Reason: why})
}

var errEnded = errors.New("cached: Prove was called after Follow had returned")

// Prove implements bus.Follower. Messages from before the first proof of a connection may be lost, so
// that one removes everything.
func (f *follower) Prove(question func() error) error {
	state, from := f.s.follow, elapsed.Now()
	if err := question(); err != nil {
		return err
	}
	if f.ended.Load() {
		return errEnded
	}
	if !f.proved {
		why := observe.Start
		if state.begun.Load() {
			why = observe.Reconnect
		}
		f.flush(why)
		f.proved = true
	} else if !state.lease.Holds(elapsed.Read()) {
		state.lost.Add(1)
	}
	state.lease.Grant(from, bus.Lease)
	state.begun.Store(true)
	state.linked.Store(true)
	return nil
}

// AccountsTold implements bus.Follower.
func (f *follower) AccountsTold(told bool) {
	if f.s.follow.accounts.Swap(told) && !told {
		f.FlushAll() // entries that were to be kept for longer
	}
}

const (
	watchEvery = 250 * time.Millisecond
	warnEvery  = time.Minute
)

// reason returns why there is no lease.
func (f *following) reason() observe.Reason {
	switch {
	case !f.begun.Load():
		return observe.Start
	case !f.linked.Load():
		return observe.Reconnect
	case f.lease.Drifted():
		return observe.Clock
	}
	return observe.Timeout
}

// watch logs when the lease is lost and regained, and that stale entries are used.
func (f *following) watch(ctx context.Context) {
	log := f.logger
	if log == nil {
		log = slog.Default()
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var logged struct {
		state, fault bool
		stale        uint64
		at           time.Time
	}
	var told, blind = f.served.Load(), elapsed.Read()
	f.reported(observe.Bus{Event: observe.LeaseLost, Reason: observe.Start})
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := elapsed.Read()
		holds := f.lease.Holds(now)
		if !holds {
			f.reported(observe.Bus{Event: observe.Blind, Reason: f.reason(), Blind: now.Sub(blind)})
		}
		blind = now
		if n := f.served.Load(); n > told {
			f.reported(observe.Bus{Event: observe.StaleServed, Messages: int(n - told)})
			told = n
		}
		if holds != logged.state {
			logged.state, logged.fault = holds, false
			if holds {
				f.reported(observe.Bus{Event: observe.LeaseGained})
			} else {
				f.reported(observe.Bus{Event: observe.LeaseLost, Reason: f.reason()})
			}
			if holds {
				f.fault.Store(nil)
				log.Info("invalidation received; cache in use")
			} else if f.fault.Load() == nil {
				log.Warn("invalidation late; cache bypassed")
				logged.fault = true
			}
		}
		if err := f.fault.Load(); err != nil && !logged.state && !logged.fault {
			log.Warn("invalidation courier down; cache bypassed", slog.Any("error", *err))
			logged.fault = true
		}
		if n := f.served.Load(); n > logged.stale && time.Since(logged.at) >= warnEvery {
			log.Warn("stale cache entries used", slog.Uint64("uses", n-logged.stale))
			logged.stale, logged.at = n, time.Now()
		}
	}
}
