package cached_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// wire is a courier that does what a test says.
type wire struct {
	of    any
	calls chan func(bus.Follower) error // an error ends Follow
}

func (w *wire) Delivers(store any) bool { return store == w.of }

func (w *wire) Follow(ctx context.Context, f bus.Follower) error {
	for {
		select {
		case call := <-w.calls:
			if err := call(f); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// do lets the courier call f, and returns when it has.
func (w *wire) do(f func(bus.Follower) error) {
	done := make(chan struct{})
	w.calls <- func(follower bus.Follower) error { defer close(done); return f(follower) }
	<-done
}

// prove proves that all changes have arrived.
func (w *wire) prove() {
	w.do(func(f bus.Follower) error { return f.Prove(func() error { return nil }) })
}

var errCut = errors.New("the connection was cut")

// cut ends the connection.
func (w *wire) cut() { w.do(func(bus.Follower) error { return errCut }) }

// followed is a cache that follows a wire, with one account and one token.
type followed struct {
	*testing.T
	base *watched
	s    *cached.Store
	wire *wire
	log  *lockedLog
}

type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var tokenDigest = storage.DigestOf("token")

// follow runs f in a bubble with its own clock.
func follow(t *testing.T, opts cached.Options, f func(*followed)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		w := &followed{T: t, base: &watched{Base: memory.New(nil)}, log: new(lockedLog)}
		w.wire = &wire{of: w.base, calls: make(chan func(bus.Follower) error)}
		opts.Courier, opts.Logger, opts.Timeout = w.wire, slog.New(slog.NewTextHandler(w.log, nil)), time.Hour
		var err error
		if w.s, err = cached.New(w.base, &opts); err != nil {
			t.Fatal(err)
		}
		w.must(w.base.CreateUser(ctx, storage.User{ID: "id", Name: "ann", Active: true}))
		w.must(w.base.PutStaticToken(ctx, storage.StaticToken{Digest: tokenDigest, Subject: "id", Salt: []byte{1}, KeyID: "k", Created: time.Now()}, storage.Digest{}))
		ended := make(chan error, 1)
		go func() { ended <- w.s.Run(ctx) }()
		defer func() {
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Run returned %v", err)
			}
		}()
		f(w)
	})
}

func (w *followed) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// look looks the token up and returns how many lookups reached the store.
func (w *followed) look() int64 {
	w.Helper()
	before := w.base.lookups.Load()
	_, _, err := w.s.StaticTokenByDigest(w.Context(), tokenDigest)
	w.must(err)
	return w.base.lookups.Load() - before
}

// hang lets the store answer nothing until release is called.
func (w *followed) hang() (release func()) {
	hold := make(chan struct{})
	w.base.then(func(err error) error { <-hold; return err })
	return sync.OnceFunc(func() { w.base.then(nil); close(hold) })
}

func (w *followed) want(what string, asked int64) {
	w.Helper()
	if got := w.look(); got != asked {
		w.Errorf("%s: %d lookups reached the store, want %d", what, got, asked)
	}
}

func TestCourierLease(t *testing.T) {
	t.Run("attack_423_no_proof", func(t *testing.T) {
		follow(t, cached.Options{}, func(w *followed) {
			w.want("before the first proof", 1)
			w.want("again", 1)
			if w.s.Freshness().Lease {
				t.Error("there is a lease")
			}
			w.wire.prove()
			w.want("the first proof removes what was read before", 1)
			w.want("under the lease", 0)
			time.Sleep(bus.Lease - time.Nanosecond)
			w.want("at its end", 0)
			time.Sleep(time.Nanosecond)
			w.want("after it", 1)
			w.wire.do(func(f bus.Follower) error { _ = f.Prove(func() error { return errCut }); return nil })
			w.want("an answer that proves nothing", 1)
			w.wire.prove()
			w.want("a late proof of the same connection needs no flush", 0)
			if got := w.s.Freshness(); !got.Lease || got.Lost != 1 || got.Lookups == 0 {
				t.Errorf("%+v", got)
			}
		})
	})
	t.Run("attack_423_question", func(t *testing.T) { // the lease counts from the question, not from its answer
		follow(t, cached.Options{}, func(w *followed) {
			w.wire.prove()
			w.look()
			w.wire.do(func(f bus.Follower) error {
				return f.Prove(func() error { time.Sleep(bus.Lease - time.Millisecond); return nil })
			})
			w.want("right after a slow answer", 0)
			time.Sleep(time.Millisecond)
			w.want("after the lease of its question", 1)
		})
	})
	t.Run("attack_423_handed_out", func(t *testing.T) {
		follow(t, cached.Options{}, func(w *followed) {
			w.wire.prove()
			w.look()
			_, u, err := w.s.StaticTokenByDigest(w.Context(), tokenDigest)
			w.must(err)
			if !u.Lease().Valid(w.Context()) {
				t.Error("the lease of an answer does not hold")
			}
			time.Sleep(bus.Lease)
			if u.Lease().Valid(w.Context()) {
				t.Error("it holds without a proof")
			}
			w.wire.prove()
			if !u.Lease().Valid(w.Context()) {
				t.Error("it does not hold after the next proof")
			}
			w.wire.do(func(f bus.Follower) error { f.Apply(cached.Change{Subject: "id"}); return nil })
			if u.Lease().Valid(w.Context()) {
				t.Error("it holds after the change")
			}
		})
	})
	t.Run("attack_424_new_connection", func(t *testing.T) {
		follow(t, cached.Options{}, func(w *followed) {
			w.wire.prove()
			w.look()
			w.wire.cut()
			w.want("without a connection", 1)
			_, err := w.base.BumpEpoch(w.Context(), "id") // nobody is told
			w.must(err)
			w.wire.prove()
			w.want("what was kept before the connection broke", 1)
		})
	})
}

// While nothing is proved, a request that begins now must not get the answer of a question from before:
// what was revoked since, and acknowledged, may be in it.
func TestBlindFlights(t *testing.T) {
	both := func(w *followed) int64 {
		release := w.hang()
		before := w.base.lookups.Load()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, _, err := w.s.StaticTokenByDigest(w.Context(), tokenDigest); err != nil {
					w.Error(err)
				}
			})
			synctest.Wait()
		}
		release()
		wg.Wait()
		return w.base.lookups.Load() - before
	}
	t.Run("attack_425_blind", func(t *testing.T) {
		follow(t, cached.Options{}, func(w *followed) {
			if n := both(w); n != 2 {
				t.Errorf("%d lookups, want one for each request", n)
			}
		})
	})
	t.Run("attack_425_lease_lost_meanwhile", func(t *testing.T) {
		follow(t, cached.Options{}, func(w *followed) {
			w.wire.prove()
			release := w.hang()
			var wg sync.WaitGroup
			join := func() {
				wg.Go(func() { _, _, _ = w.s.StaticTokenByDigest(w.Context(), tokenDigest) })
				synctest.Wait()
			}
			join()
			join()
			if n := w.base.lookups.Load(); n != 1 {
				t.Errorf("%d lookups under the lease, want 1", n)
			}
			time.Sleep(bus.Lease)
			join()
			if n := w.base.lookups.Load(); n != 2 {
				t.Errorf("%d lookups after it, want 2: the first one was asked before", n)
			}
			release()
			wg.Wait()
		})
	})
	t.Run("attack_426_bound", func(t *testing.T) { // a stall of the database makes all replicas ask at once
		follow(t, cached.Options{BlindLookups: 2}, func(w *followed) {
			release := w.hang()
			results := make(chan error, 10)
			for i := range 3 {
				for range 3 { // those for one key that wait for a place share it
					go func() {
						_, _, err := w.s.StaticTokenByDigest(w.Context(), storage.DigestOf(fmt.Sprint(i)))
						results <- err
					}()
					synctest.Wait()
				}
			}
			if n := w.base.lookups.Load(); n != 2 {
				t.Errorf("%d lookups at once, want 2", n)
			}
			time.Sleep(bus.Bound)
			synctest.Wait()
			refused := 0
			for len(results) > 0 {
				if err := <-results; errors.Is(err, cached.ErrBlind) {
					refused++
				} else {
					t.Error(err)
				}
			}
			if refused != 7 || w.s.Freshness().Refused == 0 {
				t.Errorf("%d refused, want the 7 that found no place; %+v", refused, w.s.Freshness())
			}
			release()
			for range 2 {
				if err := <-results; !errors.Is(err, storage.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	})
	t.Run("shared before the question", func(t *testing.T) {
		follow(t, cached.Options{BlindLookups: 1}, func(w *followed) {
			release := w.hang()
			results := make(chan error, 10)
			for i, n := range []int{1, 5} { // the first key takes the place
				for range n {
					go func() {
						_, _, err := w.s.StaticTokenByDigest(w.Context(), storage.DigestOf(fmt.Sprint(i)))
						results <- err
					}()
					synctest.Wait()
				}
			}
			release()
			for range 6 {
				if err := <-results; !errors.Is(err, storage.ErrNotFound) {
					t.Error(err)
				}
			}
			if n := w.base.lookups.Load(); n != 2 {
				t.Errorf("%d lookups, want 2: five requests waited for one", n)
			}
		})
	})
}

func TestServeStale(t *testing.T) {
	follow(t, cached.Options{ServeStale: true}, func(w *followed) {
		w.wire.do(func(f bus.Follower) error { f.AccountsTold(true); return nil })
		w.wire.prove()
		w.look()
		time.Sleep(time.Minute + time.Second)
		w.want("without a lease", 0)
		if n := w.s.Freshness().Stale; n != 1 {
			t.Errorf("%d stale uses counted, want 1", n)
		}
		time.Sleep(time.Second)
		if text := w.log.String(); strings.Count(text, "stale cache entries used") != 1 {
			t.Error("no warning:", text)
		}
		time.Sleep(time.Hour)
		w.want("after the TTL", 1)
	})
}

// How long answers are kept depends on whether their changes are told.
func TestUntoldTTL(t *testing.T) {
	keptFor := func(w *followed) time.Duration {
		w.wire.prove()
		w.look()
		for d := time.Duration(0); ; d += time.Second {
			w.wire.prove()
			if w.look() > 0 {
				return d
			}
			time.Sleep(time.Second)
		}
	}
	t.Run("attack_427", func(t *testing.T) {
		follow(t, cached.Options{}, func(w *followed) {
			if d := keptFor(w); d != 30*time.Second {
				t.Errorf("with an account table that tells nothing: %v, want 30s", d)
			}
			tell := func(told bool) {
				w.wire.do(func(f bus.Follower) error { f.AccountsTold(told); return nil })
			}
			tell(true)
			w.wire.do(func(f bus.Follower) error { f.FlushAll(); return nil })
			if d := keptFor(w); d != time.Hour {
				t.Errorf("with one that tells: %v, want 1h", d)
			}
			tell(false)
			w.want("its triggers were removed", 1)
			tell(true)
			w.wire.cut()
			if d := keptFor(w); d != 30*time.Second {
				t.Errorf("on a new connection: %v, want 30s", d)
			}
		})
	})
}

// A courier knows the changes of its own store; parts of others are kept for 30 seconds at most.
func TestPartsOfOtherStores(t *testing.T) {
	t.Run("attack_427_parts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			elsewhere, base := &watched{Base: memory.New(nil)}, &watched{Base: memory.New(nil)}
			w := &wire{of: base, calls: make(chan func(bus.Follower) error)}
			parts, err := cached.NewParts(&cached.Options{Courier: w, Logger: slog.New(slog.DiscardHandler)}, struct{ storage.Sessions }{elsewhere}, base)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- parts.Run(ctx) }()
			defer func() { stop(); <-ended }()
			now := time.Now()
			must(t, base.CreateUser(ctx, storage.User{ID: "id", Name: "ann", Active: true}))
			must(t, base.PutStaticToken(ctx, storage.StaticToken{Digest: tokenDigest, Subject: "id", Salt: []byte{1}, KeyID: "k", Created: now}, storage.Digest{}))
			must(t, elsewhere.CreateSession(ctx, storage.Session{Digest: tokenDigest, ID: "s", Version: 1, Created: now, Expires: now.Add(time.Hour), Ends: now.Add(time.Hour)}, storage.Digest{}))
			tokens, err := cached.Part[storage.StaticTokens](parts)
			must(t, err)
			sessions, err := cached.Part[storage.Sessions](parts)
			must(t, err)
			look := func() {
				w.prove()
				_, _, err := tokens.StaticTokenByDigest(ctx, tokenDigest)
				must(t, err)
				_, _, err = sessions.SessionByDigest(ctx, tokenDigest)
				must(t, err)
			}
			w.do(func(f bus.Follower) error { f.AccountsTold(true); return nil })
			look()
			time.Sleep(29 * time.Second)
			look()
			if a, b := base.lookups.Load(), elsewhere.lookups.Load(); a != 1 || b != 1 || !parts.Freshness().Lease {
				t.Errorf("%d and %d lookups in 29 seconds", a, b)
			}
			time.Sleep(time.Second)
			look()
			if a, b := base.lookups.Load(), elsewhere.lookups.Load(); a != 1 || b != 2 {
				t.Errorf("%d and %d lookups in 30 seconds, want 1 and 2", a, b)
			}
		})
	})
}

// broken is a courier with errors.
type broken struct {
	wire
	n      int
	leaked bus.Follower
}

func (b *broken) Follow(ctx context.Context, f bus.Follower) error {
	switch b.n++; b.n {
	case 1:
		panic("secret")
	case 2:
		return nil
	}
	b.leaked = f
	return errCut
}

func TestBrokenCourier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, log := &watched{Base: memory.New(nil)}, new(lockedLog)
		b := &broken{wire: wire{of: base}}
		s, err := cached.New(base, &cached.Options{Courier: b, Logger: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := s.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if b.n < 10 || b.n > 60 {
			t.Errorf("%d connections in a minute", b.n)
		}
		if err := b.leaked.Prove(func() error { return nil }); err == nil || s.Freshness().Lease {
			t.Error("a connection that has ended grants a lease", err)
		}
		if text := log.String(); strings.Contains(text, "secret") || strings.Count(text, "\n") != 1 {
			t.Error("want one line, without the panic's value:", text)
		}
	})
}

func TestCourierOfAnotherStore(t *testing.T) {
	t.Run("attack_428", func(t *testing.T) {
		base := memory.New(nil)
		if _, err := cached.New(base, &cached.Options{Courier: &wire{of: memory.New(nil)}}); err == nil || !strings.Contains(err.Error(), "another store") {
			t.Error(err)
		}
		if _, err := cached.NewParts(&cached.Options{Courier: &wire{of: memory.New(nil)}}, base); err == nil {
			t.Error("NewParts accepts it")
		}
	})
	if _, err := cached.New(memory.New(nil), &cached.Options{ServeStale: true}); err == nil {
		t.Error("ServeStale without a courier")
	}
	if _, err := cached.New(memory.New(nil), &cached.Options{BlindLookups: 1}); err == nil {
		t.Error("BlindLookups without a courier")
	}
	s, err := cached.New(memory.New(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("Run without a courier")
	}
	if !s.Freshness().Lease {
		t.Error("a cache without a courier is always in use")
	}
}

func TestRunOnce(t *testing.T) {
	follow(t, cached.Options{}, func(w *followed) {
		synctest.Wait()
		if err := w.s.Run(w.Context()); err == nil || !strings.Contains(err.Error(), "already") {
			t.Error(err)
		}
	})
}

// Each change of state is logged once.
func TestCourierLog(t *testing.T) {
	follow(t, cached.Options{}, func(w *followed) {
		beats := func() {
			for range 10 {
				w.wire.prove()
				time.Sleep(bus.Beat)
			}
		}
		beats()
		w.wire.cut()
		time.Sleep(time.Second)
		beats()
		time.Sleep(time.Second)
		var lines []string
		for line := range strings.Lines(w.log.String()) {
			_, line, _ = strings.Cut(line, "level=")
			lines = append(lines, strings.TrimSpace(line))
		}
		want := []string{
			`INFO msg="invalidation received; cache in use"`, `WARN msg="invalidation courier down; cache bypassed" error="the connection was cut"`,
			`INFO msg="invalidation received; cache in use"`, `WARN msg="invalidation late; cache bypassed"`,
		}
		if fmt.Sprint(lines) != fmt.Sprint(want) {
			t.Errorf("%q, want %q", lines, want)
		}
	})
}
