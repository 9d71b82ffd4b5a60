package throttle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/storage"
)

// remote is a storage.RateLimits that can be switched off.
type remote struct {
	m      *throttle.Memory
	now    func() time.Time
	down   bool
	groups map[storage.LimitKey]bool
}

func newRemote(now func() time.Time) *remote {
	return &remote{m: throttle.NewMemory(nil), now: now, groups: make(map[storage.LimitKey]bool)}
}

func (r *remote) err() error {
	if r.down {
		return errDown
	}
	return nil
}

func buckets(cells []storage.LimitCell) (list []throttle.Bucket) {
	for _, c := range cells {
		list = append(list, throttle.Bucket{Key: throttle.Key(c.Key), Rates: []throttle.Rate{{Limit: c.Limit, Window: c.Window}}})
	}
	return list
}

func (r *remote) TakeUnits(ctx context.Context, group storage.LimitKey, plans [][]storage.LimitCell) (storage.LimitTake, error) {
	r.groups[group] = true
	all := make([][]throttle.Bucket, len(plans))
	for i, p := range plans {
		all[i] = buckets(p)
	}
	if r.down {
		return storage.LimitTake{Plan: -1}, errDown
	}
	o, err := r.m.Take(ctx, r.now(), all)
	return storage.LimitTake{Plan: o.Plan, Wait: o.Wait, Key: storage.LimitKey(o.Key)}, err
}

func (r *remote) ReturnUnits(ctx context.Context, _ storage.LimitKey, cells []storage.LimitCell) error {
	return errors.Join(r.err(), r.m.Return(ctx, r.now(), buckets(cells)))
}

func (r *remote) PutMark(ctx context.Context, now time.Time, set storage.LimitKey, m storage.LimitMark, keep int, ttl time.Duration) error {
	return errors.Join(r.err(), r.m.Mark(ctx, now, throttle.Key(set), throttle.Mark{Member: throttle.Key(m.Member), Stamp: throttle.Key(m.Stamp), Seen: m.Seen}, keep, ttl))
}

func (r *remote) MarksOf(ctx context.Context, now time.Time, sets []storage.LimitKey) ([][]storage.LimitMark, error) {
	all := make([][]storage.LimitMark, len(sets))
	for i, set := range sets {
		found, err := r.m.Marks(ctx, now, []throttle.Key{throttle.Key(set)})
		if err = errors.Join(r.err(), err); err != nil {
			return nil, err
		}
		for _, m := range found[0] {
			all[i] = append(all[i], storage.LimitMark{Member: storage.LimitKey(m.Member), Stamp: storage.LimitKey(m.Stamp), Seen: m.Seen})
		}
	}
	return all, nil
}

func TestShared(t *testing.T) {
	rates := func(limit int) *throttle.LoginLimits {
		return &throttle.LoginLimits{Account: []throttle.Rate{{Limit: limit, Window: time.Hour}}}
	}
	for _, x := range []struct{ limit, replicas, want int }{{10, 3, 3}, {10, 10, 1}, {10, 50, 1}, {10, 1, 10}, {10, 0, 10}, {10, -5, 10}} {
		c := newClock()
		r := newRemote(c.now)
		r.down = true
		s, err := throttle.NewShared(r, throttle.Replicas(x.replicas), &throttle.SharedOptions{Logger: quiet})
		must(t, err)
		l := login(t, s, throttle.LoginOptions{Limits: rates(x.limit), NameKey: key32, Clock: c.now})
		if got := tries(t, l, "alice", func() *http.Request { return from("192.0.2.1:1") }); got != x.want {
			t.Errorf("attack_214: limit %d, %d replicas: %d tries at one of them, want %d", x.limit, x.replicas, got, x.want)
		}
	}
	t.Run("an_outage", func(t *testing.T) {
		c, log, replicas := newClock(), new(bytes.Buffer), 2
		r := newRemote(c.now)
		s, err := throttle.NewShared(r, func() int { return replicas }, &throttle.SharedOptions{Logger: slog.New(slog.NewTextHandler(log, nil))})
		must(t, err)
		l := login(t, s, throttle.LoginOptions{Limits: rates(4), NameKey: key32, Clock: c.now})
		here := func() *http.Request { return from("192.0.2.1:1") }
		step := func(what string, want, lines int) {
			t.Helper()
			if got := tries(t, l, "alice", here); got != want {
				t.Errorf("%s: %d tries, want %d", what, got, want)
			}
			if got := strings.Count(log.String(), "\n"); got != lines {
				t.Errorf("%s: %d messages, want %d:\n%s", what, got, lines, log)
			}
		}
		step("it works", 4, 0)
		r.down = true
		step("it fails", 2, 1)
		replicas = 1
		step("the number of replicas is that of its beginning", 0, 1)
		r.down = false
		step("it works, for a moment", 0, 1)
		r.down = true
		step("it fails again", 0, 1)
		r.down = false
		c.add(5 * time.Second)
		step("it works for some time", 0, 2)
		c.add(time.Hour)
		step("it works", 4, 2)
		r.down = true
		step("another outage, with one replica", 4, 3)
	})
	// Units that were taken in memory return there.
	t.Run("give_back", func(t *testing.T) {
		c := newClock()
		r := newRemote(c.now)
		s, err := throttle.NewShared(r, throttle.Replicas(2), &throttle.SharedOptions{Logger: quiet})
		must(t, err)
		l := login(t, s, throttle.LoginOptions{Limits: rates(4), NameKey: key32, Clock: c.now})
		r.down = true
		for i := range 10 {
			reserve(t, l, from(fmt.Sprintf("192.0.2.%d:1", i)), "alice").Succeeded(t.Context())
		}
		if got := tries(t, l, "alice", func() *http.Request { return from("198.51.100.1:1") }); got != 2 {
			t.Errorf("%d tries after successes, want 2", got)
		}
	})
	// Callers that logged in through this process stay known.
	t.Run("known_callers", func(t *testing.T) {
		c := newClock()
		r := newRemote(c.now)
		s, err := throttle.NewShared(r, throttle.Replicas(2), &throttle.SharedOptions{Logger: quiet})
		must(t, err)
		l := login(t, s, throttle.LoginOptions{Limits: rates(1), NameKey: key32, Clock: c.now})
		reserve(t, l, from("192.0.2.1:1"), "alice").Succeeded(t.Context())
		for range 2 {
			tries(t, l, "alice", func() *http.Request { return from("198.51.100.1:1") })
			if a, err := l.Reserve(from("192.0.2.1:1"), "alice"); err != nil || !a.(authn.AccountAttempt).Known() {
				t.Errorf("down %t: %v", r.down, err)
			}
			r.down = true
		}
	})
}

// Processes with different names of their own would each have the whole limit.
func TestSharedNeedsNames_attack_437(t *testing.T) {
	s, err := throttle.NewShared(newRemote(time.Now), throttle.Replicas(2), nil)
	must(t, err)
	if _, err := throttle.NewLogin(s, nil); err == nil {
		t.Error("NewLogin accepted no name key")
	}
	hour := throttle.Rate{Limit: 1, Window: time.Hour}
	for name, f := range map[string]func(o *throttle.Options) error{
		"Anon":   func(o *throttle.Options) error { _, err := throttle.Anon(s, hour, o); return err },
		"User":   func(o *throttle.Options) error { _, err := throttle.User(s, hour, o); return err },
		"Scoped": func(o *throttle.Options) error { _, err := throttle.Scoped(s, "x", hour, o); return err },
	} {
		if f(nil) == nil || f(&throttle.Options{}) == nil {
			t.Errorf("%s accepted no name key", name)
		}
		must(t, f(&throttle.Options{NameKey: key32}))
	}
	if _, err := throttle.NewShared(nil, throttle.Replicas(2), nil); err == nil {
		t.Error("no limits were accepted")
	}
	if _, err := throttle.NewShared(newRemote(time.Now), nil, nil); err == nil {
		t.Error("no number of replicas was accepted")
	}
}

// A group has all buckets that are ever taken together, and no more, so that a store of several
// servers can spread them.
func TestGroups(t *testing.T) {
	r := newRemote(time.Now)
	s, err := throttle.NewShared(r, throttle.Replicas(2), nil)
	must(t, err)
	limit, err := throttle.User(s, throttle.Rate{Limit: 100, Window: time.Hour}, &throttle.Options{NameKey: key32})
	must(t, err)
	h := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	groups := func(what string, want int, list ...*http.Request) {
		t.Helper()
		clear(r.groups)
		for _, req := range list {
			h.ServeHTTP(httptest.NewRecorder(), req)
		}
		if len(r.groups) != want {
			t.Errorf("%s: %d groups, want %d", what, len(r.groups), want)
		}
	}
	groups("one /16", 1, from("192.0.2.1:1"), from("192.0.2.77:1"), from("192.0.99.1:1"))
	groups("two /16", 2, from("192.0.2.1:1"), from("192.1.2.1:1"))
	groups("two users", 2, authntest.As(from("192.0.2.1:1"), authn.Identity{Subject: "alice"}), authntest.As(from("192.0.2.1:1"), authn.Identity{Subject: "bob"}))
	clear(r.groups)
	l, err := throttle.NewLogin(s, &throttle.LoginOptions{NameKey: key32})
	must(t, err)
	for _, name := range []string{"alice", "bob"} {
		a, err := l.Reserve(from("192.0.2.1:1"), name)
		must(t, err)
		a.Succeeded(t.Context())
	}
	if len(r.groups) != 1 {
		t.Errorf("logins: %d groups, want 1", len(r.groups))
	}
}
