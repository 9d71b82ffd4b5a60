package throttle_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func rate(t testing.TB, s string) throttle.Rate {
	t.Helper()
	r, err := throttle.ParseRate(s)
	must(t, err)
	return r
}

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1_800_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]throttle.Rate{
		"10/m": {10, time.Minute}, "5/15m": {5, 15 * time.Minute}, "100/h": {100, time.Hour}, "3/s": {3, time.Second}, "1000/d": {1000, 24 * time.Hour}, "5/90s": {5, 90 * time.Second}, "off": {}, "": {}, "1000000/366d": {1_000_000, 366 * 24 * time.Hour},
	} {
		got, err := throttle.ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if again, err := throttle.ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %q: %v", text, got, err)
		}
	}
	for _, text := range []string{"5", "1.5/s", "5/w", "0/s", "5/month", "-1/s", "5/-1m", "5 / m", "5/", "/m", "5/m ", "5/0m", "05/m", "99999999999/m", "5/99999999999d", "5/367d", "1000001/m", "five/m", "5/m/h", "OFF", "5/M"} {
		if got, err := throttle.ParseRate(text); err == nil {
			t.Errorf("%q was taken as %v", text, got)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"10/m", "5/15m", "off", "1/d", "x", "9/9999999s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := throttle.ParseRate(s)
		if err != nil {
			return
		}
		if again, err := throttle.ParseRate(r.String()); err != nil || again != r {
			t.Errorf("%q is %v, written %q: %v", s, r, r.String(), err)
		}
	})
}

func bucket(name string, rates ...throttle.Rate) throttle.Bucket {
	var b throttle.Bucket
	copy(b.Key[:], name)
	b.Rates = rates
	return b
}

func take(t testing.TB, s throttle.Store, now time.Time, b ...throttle.Bucket) time.Duration {
	t.Helper()
	wait, err := s.Take(t.Context(), now, b)
	must(t, err)
	return wait
}

func TestMemory(t *testing.T) {
	now := newClock().now()
	t.Run("exactly_the_limit", func(t *testing.T) {
		for _, text := range []string{"1/s", "3/s", "7/m", "10/m", "30/15m", "1000/d", "999983/d"} {
			m, r := throttle.NewMemory(nil), rate(t, text)
			for i := range r.Limit {
				if wait := take(t, m, now, bucket("a", r)); wait != 0 {
					t.Fatalf("%s: unit %d waits %v", text, i, wait)
				}
			}
			wait := take(t, m, now, bucket("a", r))
			if wait <= 0 || wait > r.Window {
				t.Fatalf("%s: the next one waits %v", text, wait)
			}
			if again := take(t, m, now.Add(wait-1), bucket("a", r)); again != 1 {
				t.Errorf("%s: a moment too early: %v", text, again)
			}
			if again := take(t, m, now.Add(wait), bucket("a", r)); again != 0 {
				t.Errorf("%s: who waits gets through: %v", text, again)
			}
		}
	})
	t.Run("all_or_none", func(t *testing.T) {
		m := throttle.NewMemory(nil)
		one, five := rate(t, "1/m"), rate(t, "5/m")
		take(t, m, now, bucket("a", five), bucket("b", one))
		for range 10 {
			if take(t, m, now, bucket("a", five), bucket("b", one)) == 0 {
				t.Fatal("b is used up")
			}
		}
		for range 4 {
			if take(t, m, now, bucket("a", five)) != 0 {
				t.Fatal("a refused attempt took a unit of a")
			}
		}
	})
	t.Run("give_back", func(t *testing.T) {
		m, b := throttle.NewMemory(nil), bucket("a", rate(t, "2/m"), rate(t, "3/h"))
		take(t, m, now, b)
		take(t, m, now, b)
		must(t, m.GiveBack(t.Context(), now, []throttle.Bucket{b}))
		first := take(t, m, now, b)
		if second := take(t, m, now, b); first != 0 || second == 0 {
			t.Error("one unit back is one unit")
		}
		for range 10 {
			must(t, m.GiveBack(t.Context(), now, []throttle.Bucket{b}))
		}
		if m.Len() != 0 {
			t.Errorf("%d entries for a full bucket", m.Len())
		}
		for i, want := range []bool{true, true, false} {
			if got := take(t, m, now, b) == 0; got != want {
				t.Errorf("unit %d after giving back too much: %t", i, got)
			}
		}
	})
	t.Run("attack_212_clock_steps", func(t *testing.T) {
		m, b := throttle.NewMemory(nil), bucket("a", rate(t, "5/m"))
		for range 5 {
			take(t, m, now, b)
		}
		for _, step := range []time.Duration{-time.Hour, -24 * 365 * time.Hour} {
			wait := take(t, m, now.Add(step), b)
			if wait <= 0 || wait > time.Minute {
				t.Errorf("a clock %v back: %v: neither open nor locked for longer than a window", step, wait)
			}
			if again := take(t, m, now.Add(step+wait), b); again > time.Minute {
				t.Errorf("a clock %v back: still %v after the wait", step, again)
			}
		}
		m = throttle.NewMemory(nil)
		for range 5 {
			take(t, m, now.Add(365*24*time.Hour), b)
		}
		n := 0
		for take(t, m, now, b) == 0 {
			n++
		}
		if n > 5 {
			t.Errorf("%d units after a clock that was ahead", n)
		}
	})
	t.Run("attack_210_a_million_names", func(t *testing.T) {
		m := throttle.NewMemory(&throttle.MemoryOptions{MaxEntries: 50_000})
		account, source, global := rate(t, "10/m"), rate(t, "30/m"), throttle.Rate{Limit: 1_000_000, Window: time.Hour}
		shared := bucket("global", global)
		shared.Shared = true
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		passed := 0
		for i := range 500_000 {
			if take(t, m, now, bucket("account"+strconv.Itoa(i), account), bucket("s"+strconv.Itoa(i), source), shared) == 0 {
				passed++
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := m.Len(); n > 50_001 {
			t.Errorf("%d entries", n)
		}
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 20<<20 {
			t.Errorf("%d MiB", grown>>20)
		}
		for range 600_000 {
			if take(t, m, now, shared) == 0 {
				passed++
			}
		}
		if passed != 1_000_000 {
			t.Errorf("%d passed the shared bucket of a million", passed)
		}
	})
	t.Run("attack_199_at_the_edge", func(t *testing.T) {
		m, b := throttle.NewMemory(nil), bucket("a", rate(t, "10/m"))
		var passed atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if wait, err := m.Take(context.Background(), now, []throttle.Bucket{b}); err == nil && wait == 0 {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		if passed.Load() != 10 {
			t.Errorf("%d of 64 passed a limit of 10", passed.Load())
		}
	})
}

// from is a request of an address.
func from(addr string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest("POST", "/", nil)
	r.RemoteAddr = addr
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

func login(t testing.TB, s throttle.Store, o throttle.LoginOptions) *throttle.Login {
	t.Helper()
	l, err := throttle.NewLogin(s, &o)
	must(t, err)
	return l
}

// tries counts how many attempts in a row are let through.
func tries(t testing.TB, l *throttle.Login, account string, r func() *http.Request) int {
	t.Helper()
	for n := 0; ; n++ {
		_, err := l.Reserve(r(), account)
		if err == nil {
			if n > 10_000 {
				return n
			}
			continue
		}
		var e *authn.Error
		if !errors.As(err, &e) || e.Status != 429 || e.RetryAfter <= 0 {
			t.Fatalf("got %v", err)
		}
		return n
	}
}

var key32 = []byte("0123456789abcdef0123456789abcdef")

func TestLogin(t *testing.T) {
	ten, none := []throttle.Rate{{10, time.Minute}}, []throttle.Rate{}
	always := func(addr string) func() *http.Request { return func() *http.Request { return from(addr) } }
	n := 0
	anywhere := func() *http.Request { n++; return from(fmt.Sprintf("203.0.%d.%d:1", n/250, n%250)) }

	t.Run("attack_197_stuffing", func(t *testing.T) {
		c := newClock()
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Account: ten, Source: []throttle.Rate{{30, time.Minute}}, Clock: c.now})
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
	t.Run("attack_197_the_wait_grows", func(t *testing.T) {
		c := newClock()
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Clock: c.now})
		longest := time.Duration(0)
		for range 500 {
			_, err := l.Reserve(anywhere(), "alice")
			var e *authn.Error
			if errors.As(err, &e) {
				longest = max(longest, e.RetryAfter)
				c.add(e.RetryAfter)
			}
		}
		if longest < 20*time.Second || longest > 15*time.Minute {
			t.Errorf("the longest wait was %v", longest)
		}
	})
	t.Run("attack_200_attack_201_a_success_resets_nothing", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Account: ten, Source: []throttle.Rate{{20, time.Minute}}, Clock: newClock().now})
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
		// One name, one counter: the caller hands in the canonical name.
		if got := tries(t, l, "bob", anywhere); got != 10 {
			t.Errorf("%d", got)
		}
		if got := tries(t, l, "bob", anywhere); got != 0 {
			t.Errorf("%d", got)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Account: ten, Source: none, Global: none, Clock: newClock().now})
		for range 100 {
			a, err := l.Reserve(from("192.0.2.1:1"), "alice")
			must(t, err)
			a.Cancelled(t.Context())
		}
	})
	t.Run("attack_207_spoofed_forwarding", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Account: none, Source: ten, Clock: newClock().now})
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
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Account: none, Source: ten, Proxies: proxies, Clock: newClock().now})
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
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Account: none, Source: ten, Clock: newClock().now})
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
		l := login(t, spy, throttle.LoginOptions{Account: ten, NameKey: key32, Clock: newClock().now})
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
		l := login(t, down{}, throttle.LoginOptions{Account: ten, Clock: c.now, Logger: slog.New(slog.NewTextHandler(log, nil))})
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
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("the log was told %d times", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Reserve(from("192.0.2.1:1").WithContext(ctx), "bob"); !errors.Is(err, context.Canceled) {
			t.Errorf("a request that ended: %v", err)
		}
	})
	t.Run("attack_215_what_a_refusal_says", func(t *testing.T) {
		l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Account: []throttle.Rate{{1, time.Minute}}, Clock: newClock().now})
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

func TestDeviceCookie(t *testing.T) {
	ten := []throttle.Rate{{10, time.Minute}}
	c := newClock()
	n := 0
	anywhere := func(cookies ...*http.Cookie) *http.Request {
		n++
		return from(fmt.Sprintf("203.0.%d.%d:1", n/250, n%250), cookies...)
	}
	l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Account: ten, DeviceKey: key32, Clock: c.now})
	a, err := l.Reserve(anywhere(), "alice")
	must(t, err)
	cookies := a.Succeeded(t.Context())
	if len(cookies) != 1 {
		t.Fatalf("%d cookies", len(cookies))
	}
	cookie := cookies[0]
	if cookie.Name != "__Host-device" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("%+v", cookie)
	}
	with := func(c *http.Cookie) func() *http.Request { return func() *http.Request { return anywhere(c) } }
	t.Run("attack_198_strangers_lock_nobody_out", func(t *testing.T) {
		if got := tries(t, l, "alice", func() *http.Request { return anywhere() }); got != 10 {
			t.Fatalf("strangers had %d attempts", got)
		}
		if got := tries(t, l, "alice", with(cookie)); got != 10 {
			t.Errorf("the owner's device had %d attempts", got)
		}
	})
	t.Run("ignored", func(t *testing.T) {
		c.add(time.Hour)
		raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		must(t, err)
		tries(t, l, "bob", func() *http.Request { return anywhere() })
		tries(t, l, "alice", func() *http.Request { return anywhere() })
		for i := range raw {
			b := append([]byte(nil), raw...)
			b[i] ^= 1
			if _, err := l.Reserve(anywhere(&http.Cookie{Name: cookie.Name, Value: base64.RawURLEncoding.EncodeToString(b)}), "alice"); err == nil {
				t.Errorf("byte %d changed and still taken", i)
			}
		}
		for name, r := range map[string]*http.Request{
			"another account": nil, "two": anywhere(cookie, cookie), "empty": anywhere(&http.Cookie{Name: cookie.Name}), "the other name": anywhere(&http.Cookie{Name: "device", Value: cookie.Value}), "cut": anywhere(&http.Cookie{Name: cookie.Name, Value: cookie.Value[:20]}),
		} {
			account := "alice"
			if r == nil {
				r, account = anywhere(cookie), "bob"
			}
			if _, err := l.Reserve(r, account); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
	})
	t.Run("renewed_and_expired", func(t *testing.T) {
		a, err := l.Reserve(anywhere(cookie), "alice")
		must(t, err)
		if len(a.Succeeded(t.Context())) != 0 {
			t.Error("a young cookie is renewed")
		}
		c.add(100 * 24 * time.Hour)
		a, err = l.Reserve(anywhere(cookie), "alice")
		must(t, err)
		if len(a.Succeeded(t.Context())) != 1 {
			t.Error("an old cookie is not renewed")
		}
		c.add(80 * 24 * time.Hour)
		tries(t, l, "alice", func() *http.Request { return anywhere() })
		if _, err := l.Reserve(anywhere(cookie), "alice"); err == nil {
			t.Error("an expired cookie is taken")
		}
	})
	plain := login(t, throttle.NewMemory(nil), throttle.LoginOptions{DeviceKey: key32, PlainHTTP: true, Clock: c.now})
	a, err = plain.Reserve(anywhere(), "alice")
	must(t, err)
	if got := a.Succeeded(t.Context()); len(got) != 1 || got[0].Name != "device" || got[0].Secure {
		t.Errorf("%v", got)
	}
	for _, o := range []throttle.LoginOptions{{DeviceKey: key32[:16]}, {NameKey: key32[:5]}, {Account: []throttle.Rate{{}}}, {Source: []throttle.Rate{{-1, time.Minute}}}, {Global: []throttle.Rate{{5, 0}}}} {
		if _, err := throttle.NewLogin(throttle.NewMemory(nil), &o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := throttle.NewLogin(nil, nil); err == nil {
		t.Error("no store was taken")
	}
}

// spy sees what reaches a store.
type spy struct {
	throttle.Store
	seen []throttle.Bucket
}

func (s *spy) Take(ctx context.Context, now time.Time, b []throttle.Bucket) (time.Duration, error) {
	s.seen = append(s.seen, b...)
	return s.Store.Take(ctx, now, b)
}

// down is a store that fails.
type down struct{}

var errDown = errors.New("down")

func (down) Take(context.Context, time.Time, []throttle.Bucket) (time.Duration, error) {
	return 0, errDown
}
func (down) GiveBack(context.Context, time.Time, []throttle.Bucket) error { return errDown }

func TestRequests(t *testing.T) {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	alice, bob := authn.Identity{Subject: "alice"}, authn.Identity{Subject: "bob"}
	foreign, client := authn.Identity{Subject: "alice", Issuer: "x"}, authn.Identity{Client: "alice", Scopes: []string{}}
	address := authn.Identity{Subject: "192.0.2.1"}
	c := newClock()
	opts := &throttle.Options{Clock: c.now, NameKey: key32}
	three := rate(t, "3/m")
	count := func(h http.Handler, id authn.Identity, addr string) (n int, last *httptest.ResponseRecorder) {
		for ; ; n++ {
			last = httptest.NewRecorder()
			r := from(addr)
			if id.Authenticated() {
				r = authntest.As(r, id)
			}
			h.ServeHTTP(last, r)
			if last.Code != 200 || n > 100 {
				return n, last
			}
		}
	}
	build := func(m func(http.Handler) http.Handler, err error) http.Handler {
		t.Helper()
		must(t, err)
		return m(ok)
	}
	store := throttle.NewMemory(nil)
	anon := build(throttle.Anon(store, three, opts))
	user := build(throttle.User(store, three, opts))
	burst := build(throttle.Scoped(store, "burst", rate(t, "2/m"), opts))
	other := build(throttle.Scoped(store, "other", rate(t, "2/m"), opts))
	for _, x := range []struct {
		what string
		h    http.Handler
		id   authn.Identity
		addr string
		want int
	}{
		{"anonymous", anon, authn.Identity{}, "192.0.2.1:1", 3}, {"anonymous, used up", anon, authn.Identity{}, "192.0.2.1:2", 0}, {"anonymous, elsewhere", anon, authn.Identity{}, "192.0.2.2:1", 3}, {"a user is not anonymous", anon, alice, "192.0.2.1:1", 101},
		{"user", user, alice, "192.0.2.1:1", 3}, {"the user elsewhere", user, alice, "192.0.2.9:1", 0}, {"another user", user, bob, "192.0.2.1:1", 3}, {"another issuer's", user, foreign, "192.0.2.1:1", 3}, {"a client", user, client, "192.0.2.1:1", 3},
		{"a user that is called like an address", user, address, "192.0.2.1:1", 3}, {"anonymous at that address", user, authn.Identity{}, "192.0.2.1:1", 3},
		{"scope", burst, alice, "192.0.2.1:1", 2}, {"another scope", other, alice, "192.0.2.1:1", 2},
	} {
		if got, _ := count(x.h, x.id, x.addr); got != x.want {
			t.Errorf("%s: %d requests, want %d", x.what, got, x.want)
		}
	}
	_, last := count(user, alice, "192.0.2.1:1")
	if last.Code != 429 || last.Header().Get("Retry-After") != "20" || last.Body.String() != `{"detail":"Request was throttled. Expected available in 20 seconds."}` {
		t.Errorf("%d %v %s", last.Code, last.Header(), last.Body)
	}
	c.add(20 * time.Second)
	if got, _ := count(user, alice, "192.0.2.1:1"); got != 1 {
		t.Errorf("after the wait: %d", got)
	}
	if n, _ := count(build(throttle.User(store, throttle.Rate{}, opts)), alice, ""); n != 101 {
		t.Errorf("no rate, %d requests", n)
	}
	if _, err := throttle.Scoped(store, "", three, opts); err == nil {
		t.Error("a scope without a name was taken")
	}
	if _, err := throttle.User(nil, three, opts); err == nil {
		t.Error("no store was taken")
	}
	if _, err := throttle.User(store, throttle.Rate{Limit: 5}, opts); err == nil {
		t.Error("a rate without a window was taken")
	}
}

func BenchmarkUserLimit(b *testing.B) {
	m, err := throttle.User(throttle.NewMemory(nil), throttle.Rate{Limit: 1_000_000, Window: time.Second}, nil)
	must(b, err)
	h := m(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r, w := authntest.As(from("192.0.2.1:1"), authn.Identity{Subject: "alice"}), httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

func BenchmarkReserve(b *testing.B) {
	big := []throttle.Rate{{1_000_000, time.Second}}
	l := login(b, throttle.NewMemory(nil), throttle.LoginOptions{Account: big, Source: big, Global: big, DeviceKey: key32})
	r := from("192.0.2.1:1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Reserve(r, "alice"); err != nil {
			b.Fatal(err)
		}
	}
}
