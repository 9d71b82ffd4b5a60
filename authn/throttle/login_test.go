package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

func TestLogin(t *testing.T) {
	ten := []throttle.Rate{{10, time.Minute}}
	account := func(r ...throttle.Rate) *throttle.LoginLimits { return &throttle.LoginLimits{Account: r} }
	always := func(addr string) func() *http.Request { return func() *http.Request { return from(addr) } }
	n := 0
	anywhere := func() *http.Request { n++; return from(fmt.Sprintf("203.0.%d.%d:1", n/250, n%250)) }

	t.Run("attack_197_stuffing", func(t *testing.T) {
		c := newClock()
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: &throttle.LoginLimits{Account: ten, Source: []throttle.Rate{{30, time.Minute}}}, Clock: c.now})
		passed := 0
		for i := range 10_000 {
			if _, err := l.Reserve(from("192.0.2.1:1"), "user"+strconv.Itoa(i)); err == nil {
				passed++
			}
		}
		if passed != 30 {
			t.Errorf("one source tried %d accounts", passed)
		}
		if got := tries(t, l, "alice", anywhere); got != 10 {
			t.Errorf("one account was tried %d times from many sources", got)
		}
		c.add(time.Minute)
		if got := tries(t, l, "alice", anywhere); got != 10 {
			t.Errorf("%d after a minute: a lock is never for long", got)
		}
	})
	t.Run("attack_197_no_lock_for_ever", func(t *testing.T) {
		c := newClock()
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Clock: c.now})
		passed, longest := 0, time.Duration(0)
		for c.now().Before(newClock().now().Add(24 * time.Hour)) {
			_, err := l.Reserve(from("192.0.2.1:1"), "alice")
			var e *authn.Error
			if errors.As(err, &e) {
				longest = max(longest, e.RetryAfter)
				c.add(e.RetryAfter)
			} else {
				passed++
			}
		}
		if passed < 60 || passed > 80 || longest > 40*time.Minute {
			t.Errorf("%d tries in a day, the longest wait %v", passed, longest)
		}
	})
	t.Run("attack_200_attack_201_a_success_resets_nothing", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: &throttle.LoginLimits{Account: ten, Source: []throttle.Rate{{20, time.Minute}}}, Clock: newClock().now})
		failed := 0
		for {
			own, err := l.Reserve(from("192.0.2.1:1"), "attacker") // succeeds each time
			if err != nil {
				break
			}
			if cookies := own.Succeeded(t.Context()); len(cookies) != 0 {
				t.Error("a device cookie without a key")
			}
			own.Succeeded(t.Context()) // twice gives back once
			own.Cancelled(t.Context())
			if _, err := l.Reserve(from("192.0.2.1:1"), "victim"+strconv.Itoa(failed)); err != nil {
				break
			}
			if failed++; failed > 100 {
				t.Fatal("the source is never limited")
			}
		}
		if failed != 20 {
			t.Errorf("%d failures from one source, want 20", failed)
		}
		// A name has one counter, because the caller passes the canonical name.
		if got := tries(t, l, "bob", anywhere); got != 10 {
			t.Errorf("%d", got)
		}
		if got := tries(t, l, "bob", anywhere); got != 0 {
			t.Errorf("%d", got)
		}
	})
	t.Run("attack_199_parallel_guesses", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: account(ten...), Clock: newClock().now})
		var passed atomic.Int64
		var wg sync.WaitGroup
		for i := range 64 {
			r := from(fmt.Sprintf("203.0.113.%d:1", i))
			wg.Go(func() {
				if _, err := l.Reserve(r, "alice"); err == nil {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		if passed.Load() != 10 {
			t.Errorf("%d of 64 parallel guesses passed a limit of 10", passed.Load())
		}
	})
	t.Run("attack_210_the_shared_limit_outlives_a_flood", func(t *testing.T) {
		c := newClock()
		l := login(t, throttle.NewMemory(&throttle.MemoryOptions{MaxEntries: 100}), throttle.LoginOptions{Clock: c.now})
		passed := 0
		for i := range 20_000 {
			if _, err := l.Reserve(from(v4(i, 1)), "name"+strconv.Itoa(i)); err == nil {
				passed++
			}
		}
		if passed != 3200 { // Strangers, QuietReserve and SpareReserve
			t.Errorf("%d attempts passed shared limits of 1000, 200 and 2000", passed)
		}
	})
	t.Run("attack_210_a_flood_does_not_refill_its_own_buckets", func(t *testing.T) {
		c := newClock()
		l := login(t, throttle.NewMemory(&throttle.MemoryOptions{MaxEntries: 1000}), throttle.LoginOptions{Clock: c.now})
		used := func() *http.Request { return from("203.0.113.1:1") }
		if got := tries(t, l, "alice", used); got != 5 {
			t.Fatalf("%d", got)
		}
		for i := range 900 { // fills the store several times over, and leaves units for all
			if _, err := l.Reserve(from(v4(i, 1)), "name"+strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		if got := tries(t, l, "alice", used); got != 0 {
			t.Errorf("%d more tries at the account after a flood of fresh names", got)
		}
	})
	t.Run("a_refusal_takes_nothing", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: &throttle.LoginLimits{Account: ten, Source: []throttle.Rate{{20, time.Minute}}}, Clock: newClock().now})
		one := always("192.0.2.1:1")
		if got := tries(t, l, "alice", one); got != 10 {
			t.Errorf("%d", got)
		}
		for range 100 {
			_, _ = l.Reserve(one(), "alice")
		}
		if got := tries(t, l, "bob", one); got != 10 {
			t.Errorf("the source has %d attempts left, want 10", got)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: account(ten...), Clock: newClock().now})
		for range 100 {
			a, err := l.Reserve(from("192.0.2.1:1"), "alice")
			must(t, err)
			a.Cancelled(t.Context())
		}
	})
	t.Run("attack_207_spoofed_forwarding", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: &throttle.LoginLimits{Source: ten}, Clock: newClock().now})
		i := 0
		got := tries(t, l, "alice", func() *http.Request {
			i++
			r := from("192.0.2.1:1")
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i))
			r.Header.Set("Forwarded", fmt.Sprintf("for=198.51.100.%d", i))
			r.Header.Set("X-Real-Ip", fmt.Sprintf("198.51.100.%d", i))
			return r
		})
		if got != 10 {
			t.Errorf("%d attempts with spoofed headers", got)
		}
	})
	t.Run("attack_208_behind_a_proxy", func(t *testing.T) {
		proxies, err := authn.NewTrustedProxies("10.0.0.1")
		must(t, err)
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: &throttle.LoginLimits{Source: ten}, Proxies: proxies, Clock: newClock().now})
		i := 0
		behind := func(client string) func() *http.Request {
			return func() *http.Request {
				i++
				r := from("10.0.0.1:1")
				r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d, %s", i%250, client))
				return r
			}
		}
		if got := tries(t, l, "alice", behind("203.0.113.1")); got != 10 {
			t.Errorf("%d", got)
		}
		if got := tries(t, l, "alice", behind("203.0.113.2")); got != 10 {
			t.Errorf("another client: %d", got)
		}
		if got := tries(t, l, "alice", behind("::ffff:203.0.113.2")); got != 0 {
			t.Errorf("the same client in another form: %d", got)
		}
	})
	t.Run("attack_209_one_ipv6_network", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: &throttle.LoginLimits{Source: ten}, Clock: newClock().now})
		i := 0
		if got := tries(t, l, "alice", func() *http.Request { i++; return from(fmt.Sprintf("[2001:db8:1:2::%x]:1", i)) }); got != 10 {
			t.Errorf("%d attempts from one /64", got)
		}
		if got := tries(t, l, "alice", always("[2001:db8:1:3::1]:1")); got != 10 {
			t.Errorf("%d attempts from the next /64", got)
		}
	})
	t.Run("attack_211_a_long_name", func(t *testing.T) {
		spy := &spy{Store: throttle.NewMemory(nil)}
		l := login(t, spy, throttle.LoginOptions{Limits: account(ten...), NameKey: key32, Clock: newClock().now})
		if got := tries(t, l, strings.Repeat("x", 1<<20), anywhere); got != 10 {
			t.Errorf("%d", got)
		}
		for _, b := range spy.seen {
			if len(b.Key) != 16 || strings.Contains(string(b.Key[:]), "xxxx") {
				t.Error("a name reached the store")
			}
		}
	})
	t.Run("attack_214_store_is_down", func(t *testing.T) {
		log := new(strings.Builder)
		c := newClock()
		l := login(t, down{}, throttle.LoginOptions{Limits: account(ten...), Clock: c.now, Logger: slog.New(slog.NewTextHandler(log, nil))})
		if got := tries(t, l, "alice", anywhere); got != 10 {
			t.Errorf("%d attempts while the store is down", got)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("the log was told %d times", n)
		}
		c.add(time.Minute)
		a, err := l.Reserve(anywhere(), "bob")
		must(t, err)
		a.Succeeded(t.Context())
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("the log was told %d times of one outage", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Reserve(from("192.0.2.1:1").WithContext(ctx), "bob"); !errors.Is(err, context.Canceled) {
			t.Errorf("a request that ended: %v", err)
		}
	})
	t.Run("attack_215_what_a_refusal_says", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Limits: account(throttle.Rate{1, time.Minute}), Clock: newClock().now})
		var answers []string
		for _, account := range []string{"alice", "nobody"} {
			tries(t, l, account, anywhere)
			_, err := l.Reserve(anywhere(), account)
			w := httptest.NewRecorder()
			authn.Respond(w, httptest.NewRequest("POST", "/", nil), err)
			if _, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || w.Code != 429 {
				t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
			}
			answers = append(answers, fmt.Sprint(w.Header(), w.Body))
		}
		if answers[0] != answers[1] {
			t.Errorf("answers differ: %v", answers)
		}
	})
}
