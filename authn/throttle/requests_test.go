package throttle_test

import (
	"cmp"
	"context"
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
)

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
		{"user", user, alice, "192.0.2.1:1", 3}, {"the user elsewhere", user, alice, "192.0.2.9:1", 0}, {"another user", user, bob, "192.0.2.1:1", 3}, {"another issuer's", user, foreign, "192.0.2.1:1", 3}, {"a client", user, client, "192.0.2.1:1", 3}, {"another client", user, authn.Identity{Client: "other"}, "192.0.2.1:1", 3}, {"issuer and subject in one", user, authn.Identity{Issuer: "ab", Subject: "c"}, "192.0.2.1:1", 3}, {"cut elsewhere", user, authn.Identity{Issuer: "a", Subject: "bc"}, "192.0.2.1:1", 3}, {"the user through a client", user, authn.Identity{Subject: "alice", Client: "other"}, "192.0.2.1:1", 3},
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
	if n, _ := count(build(throttle.User(store, throttle.Off(), opts)), alice, ""); n != 101 {
		t.Errorf("no rate, %d requests", n)
	}
	if _, err := throttle.Scoped(store, "", three, opts); err == nil {
		t.Error("a scope without a name was taken")
	}
	if _, err := throttle.User(store, throttle.Rate{}, opts); err == nil {
		t.Error("attack_359: the zero rate was taken")
	}
	if _, err := throttle.User(nil, three, opts); err == nil {
		t.Error("no store was taken")
	}
	if _, err := throttle.User(store, throttle.Rate{Limit: 5}, opts); err == nil {
		t.Error("a rate without a window was taken")
	}
}

// One network does not multiply the limit of anonymous callers by its addresses.
func TestRequestsOfOneNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	for name, x := range map[string]struct {
		addr  func(i int) string
		times int
	}{
		"one /56":      {func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:1", i%256) }, 4},
		"one /48":      {func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:1", i%4096*16) }, 16},
		"one /32":      {func(i int) string { return fmt.Sprintf("[2001:db8:%x:%x::1]:1", i, 0) }, 256},
		"one IPv4 /28": {func(i int) string { return fmt.Sprintf("192.0.2.%d:1", i%16) }, 4},
		"one IPv4 /24": {func(i int) string { return fmt.Sprintf("192.0.2.%d:1", i%256) }, 16},
		"one IPv4 /16": {func(i int) string { return fmt.Sprintf("192.0.%d.%d:1", i%256, i/256) }, 256},
	} {
		for what, limit := range map[string]func(o *throttle.Options) (func(http.Handler) http.Handler, error){
			"anon": func(o *throttle.Options) (func(http.Handler) http.Handler, error) {
				return throttle.Anon(throttle.NewMemory(nil), rate(t, "10/h"), o)
			},
			"user": func(o *throttle.Options) (func(http.Handler) http.Handler, error) {
				return throttle.User(throttle.NewMemory(nil), rate(t, "10/h"), o)
			},
			"scoped": func(o *throttle.Options) (func(http.Handler) http.Handler, error) {
				return throttle.Scoped(throttle.NewMemory(nil), "x", rate(t, "10/h"), o)
			},
		} {
			t.Run("attack_291_"+name+"_"+what, func(t *testing.T) {
				for _, wider := range []int{0, 3} {
					m, err := limit(&throttle.Options{Clock: newClock().now, NameKey: key32, Networks: [3]int{wider, wider, wider}})
					must(t, err)
					served := 0
					h := m(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
					last := httptest.NewRecorder()
					for i := range 3_000 {
						last = httptest.NewRecorder()
						h.ServeHTTP(last, from(x.addr(i)))
					}
					if want := 10 * cmp.Or(wider, x.times); served != want || last.Header().Get("Retry-After") != "60" {
						t.Errorf("Networks %d: %d served, want %d; Retry-After %s", wider, served, want, last.Header().Get("Retry-After"))
					}
					own := httptest.NewRecorder()
					if h.ServeHTTP(own, from("198.51.100.1:1")); own.Code != 200 {
						t.Errorf("another network: %d", own.Code)
					}
				}
			})
		}
	}
	for _, bad := range []int{-1, throttle.MaxLimit + 1} {
		if _, err := throttle.Anon(throttle.NewMemory(nil), rate(t, "1/m"), &throttle.Options{Networks: [3]int{0, bad, 0}}); err == nil {
			t.Errorf("Networks of %d were accepted", bad)
		}
	}
}

func TestRequestsWhileTheStoreIsDown(t *testing.T) {
	log := new(strings.Builder)
	m, err := throttle.Anon(down{}, throttle.Rate{Limit: 3, Window: time.Minute}, &throttle.Options{Clock: newClock().now, Logger: slog.New(slog.NewTextHandler(log, nil))})
	must(t, err)
	served := 0
	h := m(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	for range 100 {
		h.ServeHTTP(httptest.NewRecorder(), from("192.0.2.1:1"))
	}
	if served != 3 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("attack_214: %d served, log %q", served, log)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, from("192.0.2.2:1").WithContext(ctx))
	if w.Code != 503 || served != 3 {
		t.Errorf("a request that ended: %d", w.Code)
	}
}

func TestOneSecond(t *testing.T) {
	m, err := throttle.Anon(throttle.NewMemory(nil), throttle.Rate{Limit: 1, Window: time.Second}, &throttle.Options{Clock: newClock().now})
	must(t, err)
	h := m(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	h.ServeHTTP(httptest.NewRecorder(), from("192.0.2.1:1"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, from("192.0.2.1:1"))
	if w.Header().Get("Retry-After") != "1" || w.Body.String() != `{"detail":"Request was throttled. Expected available in 1 second."}` {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct {
	h    http.Header
	code int
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(code int)        { d.code = code }

// Rejecting a flood of valid tokens costs only a few allocations.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	t.Run("attack_216_a_flood_is_cheap", func(t *testing.T) {
		m, err := throttle.User(throttle.NewMemory(nil), throttle.Rate{Limit: 100, Window: time.Hour}, &throttle.Options{Clock: newClock().now})
		must(t, err)
		served := 0
		h := m(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
		r, w := authntest.As(from("192.0.2.1:1"), authn.Identity{Subject: "alice"}), &discard{h: http.Header{}}
		for range 100_000 {
			h.ServeHTTP(w, r)
		}
		if served != 100 || w.code != 429 {
			t.Errorf("%d served, then %d", served, w.code)
		}
		if raceEnabled {
			return // the detector drops pooled values at random
		}
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n > 32 {
			t.Errorf("a refusal costs %v allocations", n)
		}
	})
}
