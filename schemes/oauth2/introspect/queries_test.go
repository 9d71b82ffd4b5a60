package introspect_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
		for i := range 8 {
			wg.Go(func() { from(m, fmt.Sprintf("192.0.%d.1", i/2), fmt.Sprint("slow", i)) })
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
