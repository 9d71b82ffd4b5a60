package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

var key32 = []byte("0123456789abcdef0123456789abcdef")

// request returns a request from an address, with values of X-Forwarded-For.
func request(addr string, forwarded ...string) *http.Request {
	r := httptest.NewRequest("POST", "/", nil)
	r.RemoteAddr = addr
	for _, f := range forwarded {
		r.Header.Add("X-Forwarded-For", f)
	}
	return r
}

// shared returns a store of limits of one replica.
func shared(t testing.TB, client redis.UniversalClient, prefix string) *throttle.Shared {
	t.Helper()
	s, err := throttle.NewShared(open(t, client, prefix), throttle.Replicas(2), &throttle.SharedOptions{Logger: slog.New(slog.NewTextHandler(failing{t}, nil))})
	must(t, err)
	return s
}

// failing fails the test when something is logged: the store works.
type failing struct{ t testing.TB }

func (f failing) Write(b []byte) (int, error) { f.t.Errorf("logged: %s", b); return len(b), nil }

// twins returns the login limits of two replicas, with keys of their own.
func twins(t testing.TB, client func() redis.UniversalClient, o throttle.LoginOptions) [2]*throttle.Login {
	t.Helper()
	at := prefix()
	o.NameKey, o.DeviceKey = key32, key32
	var list [2]*throttle.Login
	for i := range list {
		l, err := throttle.NewLogin(shared(t, client(), at), &o)
		must(t, err)
		list[i] = l
	}
	return list
}

// guesses counts the attempts that two replicas allow of n, in turns.
func guesses(t testing.TB, list [2]*throttle.Login, n int, attempt func(i int) (r *http.Request, account string)) (allowed int) {
	t.Helper()
	for i := range n {
		r, account := attempt(i)
		if refused(t, list[i%2], r, account) == nil {
			allowed++
		}
	}
	return allowed
}

// refused returns why an attempt is refused, or nil.
func refused(t testing.TB, l *throttle.Login, r *http.Request, account string) *authn.Error {
	t.Helper()
	_, err := l.Reserve(r, account)
	var e *authn.Error
	if err != nil && (!errors.As(err, &e) || e.Status != 429) {
		t.Fatalf("got %v", err)
	}
	return e
}

func succeed(t testing.TB, l *throttle.Login, r *http.Request, account string) []*http.Cookie {
	t.Helper()
	a, err := l.Reserve(r, account)
	must(t, err)
	must(t, a.(authn.AccountAttempt).Account(t.Context(), "id of "+account, 0))
	return a.Succeeded(t.Context())
}

func logins(t *testing.T, client func() redis.UniversalClient) {
	t.Run("attack_207_forwarded_by_nobody", func(t *testing.T) {
		list := twins(t, client, throttle.LoginOptions{})
		if n := guesses(t, list, 20, func(i int) (*http.Request, string) {
			return request("192.0.2.1:1", fmt.Sprintf("203.0.113.%d", i)), "alice"
		}); n != 5 {
			t.Errorf("%d guesses, want 5", n)
		}
	})
	t.Run("attack_208_forged_parts", func(t *testing.T) {
		trusted, err := authn.NewTrustedProxies("10.0.0.0/8")
		must(t, err)
		list := twins(t, client, throttle.LoginOptions{Proxies: trusted})
		if n := guesses(t, list, 20, func(i int) (*http.Request, string) {
			return request("10.0.0.1:1", fmt.Sprintf("203.0.113.%d, junk, 192.0.2.7", i)), "alice"
		}); n != 5 {
			t.Errorf("%d guesses, want 5", n)
		}
		if refused(t, list[0], request("10.0.0.1:1", "192.0.2.8"), "alice") != nil {
			t.Error("another address is refused")
		}
	})
	t.Run("attack_209_addresses_of_one_64", func(t *testing.T) {
		list := twins(t, client, throttle.LoginOptions{})
		if n := guesses(t, list, 200, func(i int) (*http.Request, string) {
			return request(fmt.Sprintf("[2001:db8:1:2::%x]:1", i+1)), "alice"
		}); n != 5 {
			t.Errorf("%d guesses, want 5", n)
		}
	})
	t.Run("attack_210_many_names_and_networks", func(t *testing.T) {
		c, at := client(), prefix()
		limits := throttle.DefaultLoginLimits()
		limits.Strangers, limits.Quiet, limits.Spare = []throttle.Rate{{Limit: 30, Window: time.Hour}}, throttle.Unlimited(), throttle.Unlimited()
		var list [2]*throttle.Login
		for i := range list {
			l, err := throttle.NewLogin(shared(t, c, at), &throttle.LoginOptions{NameKey: key32, Limits: &limits})
			must(t, err)
			list[i] = l
		}
		if n := guesses(t, list, 500, func(i int) (*http.Request, string) {
			return request(fmt.Sprintf("10.%d.%d.1:1", i, i%7)), fmt.Sprint("user", i)
		}); n != 30 {
			t.Errorf("%d guesses, all together have 30", n)
		}
		all := keysIn(t, c, at)
		if len(all) > 30*20 { // what is refused stores nothing
			t.Errorf("%d keys", len(all))
		}
		for _, k := range all {
			if ttl, err := c.PTTL(t.Context(), k).Result(); err != nil || ttl == -1 { // -2: it has just expired
				t.Errorf("%s stays for ever: %v, %v", k, ttl, err)
			}
		}
	})
	t.Run("attack_211_a_long_name", func(t *testing.T) {
		c, at := client(), prefix()
		l, err := throttle.NewLogin(shared(t, c, at), &throttle.LoginOptions{NameKey: key32})
		must(t, err)
		name := strings.Repeat("alice", 1<<18)
		succeed(t, l, request("192.0.2.1:1"), name)
		for _, k := range keysIn(t, c, at) {
			if len(k) > 80 || strings.Contains(k, "alice") || strings.Contains(k, "192.0.2") {
				t.Errorf("key %.100q", k)
			}
		}
	})
	t.Run("attack_213_parallel_guesses", func(t *testing.T) {
		list := twins(t, client, throttle.LoginOptions{})
		var allowed atomic.Int64
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				if _, err := list[i%2].Reserve(request("192.0.2.1:1"), "alice"); err == nil {
					allowed.Add(1)
				}
			})
		}
		wg.Wait()
		if allowed.Load() != 5 {
			t.Errorf("%d guesses of 64, want 5", allowed.Load())
		}
	})
	t.Run("attack_198_known_at_the_other_replica", func(t *testing.T) {
		list := twins(t, client, throttle.LoginOptions{})
		cookies := succeed(t, list[0], request("198.51.100.1:1"), "alice")
		guesses(t, list, 400, func(i int) (*http.Request, string) {
			return request(fmt.Sprintf("10.%d.%d.1:1", i%200, i)), "alice"
		})
		if refused(t, list[1], request("203.0.113.9:1"), "alice") == nil {
			t.Fatal("the strangers' limit is not used up, so this shows nothing")
		}
		if e := refused(t, list[1], request("198.51.100.1:1"), "alice"); e != nil {
			t.Errorf("the owner at the known address: %v", e)
		}
		r := request("203.0.113.10:1")
		for _, k := range cookies {
			r.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value})
		}
		if e := refused(t, list[1], r, "alice"); len(cookies) == 0 || e != nil {
			t.Errorf("the owner with the device cookie: %v, %d cookies", e, len(cookies))
		}
	})
	t.Run("attack_200_successes_give_back_their_own", func(t *testing.T) {
		list := twins(t, client, throttle.LoginOptions{})
		for i := range 10 {
			succeed(t, list[i%2], request("192.0.2.1:1"), "alice")
		}
		if n := guesses(t, list, 20, func(int) (*http.Request, string) { return request("192.0.2.1:1"), "mallory" }); n != 5 {
			t.Errorf("%d guesses after successes, want 5", n)
		}
	})
	t.Run("attack_215_retry_after", func(t *testing.T) {
		limits := throttle.DefaultLoginLimits()
		limits.Strangers, limits.Quiet, limits.Spare = []throttle.Rate{{Limit: 8, Window: 100 * time.Hour}}, throttle.Unlimited(), throttle.Unlimited()
		list := twins(t, client, throttle.LoginOptions{Limits: &limits})
		guesses(t, list, 5, func(int) (*http.Request, string) { return request("192.0.2.1:1"), "alice" })
		own := refused(t, list[0], request("192.0.2.1:1"), "alice")
		guesses(t, list, 3, func(i int) (*http.Request, string) {
			return request(fmt.Sprintf("10.%d.0.1:1", i)), fmt.Sprint("user", i)
		})
		others := refused(t, list[1], request("203.0.113.1:1"), "bob")
		if own == nil || own.RetryAfter <= 0 || own.RetryAfter > time.Minute || others == nil || others.RetryAfter != time.Minute {
			t.Errorf("by one's own count %+v, by that of others %+v: a minute, whatever it is", own, others)
		}
		w := httptest.NewRecorder()
		authn.Respond(w, request("192.0.2.1:1"), own)
		if after := w.Header().Get("Retry-After"); w.Code != 429 || strings.Trim(after, "0123456789") != "" || after == "" {
			t.Errorf("%d, Retry-After %q", w.Code, after)
		}
	})
}

// Requests are counted for all replicas, and a network's addresses by the widest network.
func requests(t *testing.T, client func() redis.UniversalClient) {
	c, at, served := client(), prefix(), 0
	var list [2]http.Handler
	for i := range list {
		limit, err := throttle.User(shared(t, client(), at), throttle.Rate{Limit: 10, Window: time.Hour}, &throttle.Options{NameKey: key32})
		must(t, err)
		list[i] = limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	}
	count := func(what string, n, want int, r func(i int) *http.Request) {
		t.Helper()
		served = 0
		for i := range n {
			list[i%2].ServeHTTP(httptest.NewRecorder(), r(i))
		}
		if served != want {
			t.Errorf("attack_213: %s: %d served, want %d", what, served, want)
		}
	}
	tags := make(map[string]bool) // each is on one server of a Cluster
	for _, name := range []string{"alice", "bob"} {
		count(name, 30, 10, func(int) *http.Request { return authntest.As(request("192.0.2.1:1"), authn.Identity{Subject: name}) })
	}
	for _, k := range keysIn(t, c, at) {
		tag, _, _ := strings.Cut(k, "}")
		tags[tag] = true
	}
	if len(tags) != 2 {
		t.Errorf("the counts of two users have %d tags", len(tags))
	}
	count("an address", 30, 10, func(int) *http.Request { return request("198.51.100.1:1") })
	count("an IPv4 /28", 100, 40, func(i int) *http.Request { return request(fmt.Sprintf("203.0.113.%d:1", i%16)) })
}

// While Redis is gone, all replicas together allow the limit, and Redis is used again when it works.
func TestLimitsWithoutRedis_attack_214(t *testing.T) {
	r := redistest.Start(t)
	at, log := prefix(), new(bytes.Buffer)
	now := time.Now()
	clock := func() time.Time { return now }
	const replicas = 3
	var list [replicas]http.Handler
	served := 0
	for i := range list {
		s, err := redisstore.New(r.Client(), &redisstore.Options{Prefix: at, Timeout: time.Second})
		must(t, err)
		store, err := throttle.NewShared(s, throttle.Replicas(replicas), &throttle.SharedOptions{Logger: slog.New(slog.NewTextHandler(log, nil))})
		must(t, err)
		h := http.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
		for _, limit := range []throttle.Rate{{Limit: 9, Window: time.Hour}, {Limit: 1000, Window: time.Second}} { // two limits, one outage
			m, err := throttle.User(store, limit, &throttle.Options{NameKey: key32, Clock: clock})
			must(t, err)
			h = m(h)
		}
		list[i] = h
	}
	count := func(what, user string, want int) {
		t.Helper()
		served = 0
		for i := range 10 * replicas {
			list[i%replicas].ServeHTTP(httptest.NewRecorder(), authntest.As(request("192.0.2.1:1"), authn.Identity{Subject: user}))
		}
		if served != want {
			t.Errorf("%s: %d served, want %d", what, served, want)
		}
	}
	count("with Redis", "alice", 9)
	r.Kill()
	count("without", "bob", 9)
	count("without: nothing is carried over", "alice", 9)
	if n := strings.Count(log.String(), "counting in memory"); n != replicas || strings.Count(log.String(), "\n") != n {
		t.Errorf("%d messages of %d replicas:\n%s", n, replicas, log)
	}
	log.Reset()
	r.Restart()
	if !redistest.Poll(t, func(context.Context) bool { // the circuits close
		now = now.Add(10 * time.Second)
		served = 0
		for i := range list {
			list[i].ServeHTTP(httptest.NewRecorder(), authntest.As(request("192.0.2.1:1"), authn.Identity{Subject: fmt.Sprint("u", now.UnixNano())}))
		}
		return strings.Count(log.String(), "works again") == replicas
	}) {
		t.Errorf("not used again:\n%s", log)
	}
	count("with Redis again", "carol", 9)
	if n := strings.Count(log.String(), "\n"); n != replicas {
		t.Errorf("%d messages:\n%s", n, log)
	}
}
