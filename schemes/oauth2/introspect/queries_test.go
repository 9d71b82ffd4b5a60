package introspect_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/introspect"
)

// from sends a token from an address through a middleware and returns the status.
func from(m *authn.Middleware, addr, token string) int {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = addr + ":1234"
	bearer(token)(r)
	rec := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(rec, r)
	return rec.Code
}

// Made-up tokens reach the issuer up to a limit of each network and of all. Other networks go on.
func TestMadeUpTokens(t *testing.T) {
	for name, change := range map[string]func(*introspect.Options){
		"cached": nil, "not cached": func(o *introspect.Options) { o.CacheTTL = -1 },
	} {
		t.Run("attack_302/"+name, func(t *testing.T) {
			a := newAbroad(t, change)
			m := authn.New(authn.Chain{a}, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
			a.asks(t, 20, "one network", func() {
				for i := range 100 {
					if got := from(m, fmt.Sprint("203.0.113.", i), fmt.Sprint("junk", i)); got != 401 && got != 503 {
						t.Fatal(got)
					}
				}
			})
			if got := from(m, "203.0.113.7", "good"); got != 503 {
				t.Errorf("over the limit of its network: %d", got)
			}
			a.asks(t, 1, "another network", func() {
				if got := from(m, "198.51.100.1", "good"); got != 200 {
					t.Errorf("another network: %d", got)
				}
			})
			a.asks(t, 180, "many networks", func() {
				for i := range 1000 {
					from(m, fmt.Sprintf("192.0.%d.1", i%10), fmt.Sprint("more", i)) // without reserve: of the second before, too
				}
			})
			if got := from(m, "198.51.100.2", "good"); got != 200 {
				t.Errorf("a network that sent no junk, after the limit of all: %d", got)
			}
			a.pass(time.Second)
			if got := from(m, "203.0.113.7", "good"); got != 200 {
				t.Errorf("a second later: %d", got)
			}
		})
	}
}

// Queries that the issuer does not answer are bounded, in all and for each network.
func TestSlowIssuer(t *testing.T) {
	t.Run("attack_302/slow", func(t *testing.T) {
		a := newAbroad(t, func(o *introspect.Options) { o.MaxQueries = 8 })
		m := authn.New(authn.Chain{a}, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
		arrived, answer := make(chan struct{}, 16), make(chan struct{})
		a.answers(func(http.ResponseWriter, *http.Request) bool {
			arrived <- struct{}{}
			<-answer
			return false
		})
		var wg sync.WaitGroup
		for i, addr := range []string{"192.0.0.1", "192.0.0.2", "192.1.0.1", "192.1.0.2", "192.2.0.1", "192.3.0.1", "192.4.0.1"} { // the last two of the pool of quiet networks
			wg.Go(func() { from(m, addr, fmt.Sprint("slow", i)) })
			<-arrived
			if i == 1 {
				if got := from(m, "192.0.0.9", "another"); got != 503 {
					t.Errorf("a quarter is one network's: %d", got)
				}
			}
		}
		if got := from(m, "198.51.100.1", "good"); got != 503 {
			t.Errorf("beyond MaxQueries: %d", got)
		}
		close(answer)
		wg.Wait()
		if got := from(m, "198.51.100.1", "good"); got != 200 {
			t.Errorf("after the queries ended: %d", got)
		}
	})
}

// Strangers with made-up tokens do not decide over others where the issuer is slow to answer for these.
func TestSlowForMadeUpTokens(t *testing.T) {
	t.Run("attack_380", func(t *testing.T) {
		a := newAbroad(t, nil)
		m := authn.New(authn.Chain{a}, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
		arrived, answer := make(chan struct{}), make(chan struct{})
		release := sync.OnceFunc(func() { close(answer) })
		defer release()
		a.answers(func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.FormValue("token"), "junk") {
				arrived <- struct{}{}
				<-answer
			}
			return false
		})
		var wg sync.WaitGroup
		n := 0
		junk := func(addr string) bool { // reports whether the issuer is asked
			n++
			busy := make(chan struct{})
			wg.Go(func() {
				if from(m, addr, fmt.Sprint("junk", n)) == 503 {
					close(busy)
				}
			})
			select {
			case <-arrived:
				return true
			case <-busy:
				return false
			}
		}
		good := func(addr string) int {
			n++
			a.set(fmt.Sprint("good", n), live)
			return from(m, addr, fmt.Sprint("good", n))
		}
		if got := good("203.0.113.1"); got != 200 { // known from now on
			t.Fatal(got)
		}
		running := 0
		for i := range 64 {
			if junk(fmt.Sprintf("198.%d.100.%d", 50+i%4, i)) {
				running++
			}
		}
		if running != 40 {
			t.Errorf("four networks have %d of 64 queries, want 40", running)
		}
		for i := range 50 {
			if got := good(fmt.Sprintf("203.%d.%d.1", i%2, i)); got != 200 {
				t.Fatalf("network %d, with no query under way: %d", i, got)
			}
		}
		for i := range 10 { // an IPv6 /48 for each
			if got, want := junk(fmt.Sprintf("[2001:db8:%d::1]", i)), i < 4; got != want {
				t.Errorf("network %d of one provider: asked %t", i, got)
			}
		}
		if got := good("[2001:db9::1]"); got != 200 {
			t.Errorf("another provider: %d", got)
		}
		for i := range 12 {
			junk(fmt.Sprintf("100.%d.%d.1", 70+i/4, i))
		}
		if got := good("100.90.0.1"); got != 503 {
			t.Errorf("beyond the queries of quiet networks: %d", got)
		}
		if got := good("203.0.113.9"); got != 200 {
			t.Errorf("a known network: %d", got)
		}
		release()
		wg.Wait()
		a.pass(2 * time.Second)
		if got := good("100.90.0.1"); got != 200 {
			t.Errorf("after the flood: %d", got)
		}
	})
}

// A query counts as one of an inactive token until it has ended, so that a network has no more than its
// limit of them, however slow the issuer is.
func TestUnderWayCounts(t *testing.T) {
	t.Run("attack_380", func(t *testing.T) {
		a := newAbroad(t, func(o *introspect.Options) { o.UnknownPerNet = 3 })
		m := authn.New(authn.Chain{a}, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
		arrived, answer := make(chan struct{}, 9), make(chan struct{})
		a.answers(func(http.ResponseWriter, *http.Request) bool { arrived <- struct{}{}; <-answer; return false })
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() { from(m, "192.0.2.1", fmt.Sprint("junk", i)) })
			<-arrived
		}
		done := make(chan int)
		go func() { done <- from(m, "192.0.2.2", "another") }()
		select {
		case got := <-done:
			if got != 503 {
				t.Errorf("beyond UnknownPerNet: %d", got)
			}
			close(answer)
		case <-arrived:
			t.Error("beyond UnknownPerNet: the issuer was asked")
			close(answer)
			<-done
		}
		wg.Wait()
	})
}
