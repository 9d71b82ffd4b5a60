package authn_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// Proxies that only the middleware knows apply to all code within it. Otherwise all clients would
// share the proxy's address and its limits.
func TestAddressOfTheMiddleware_attack_387(t *testing.T) {
	trusted, err := authn.NewTrustedProxies("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	other, err := authn.NewTrustedProxies("198.51.100.1")
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	for name, x := range map[string]struct {
		outer, inner *authn.Options
		ask          authn.TrustedProxies
		want         string
	}{
		"named to the middleware":       {&authn.Options{Proxies: trusted}, nil, authn.TrustedProxies{}, "203.0.113.9"},
		"named to an outer middleware":  {&authn.Options{Proxies: trusted}, &authn.Options{}, authn.TrustedProxies{}, "203.0.113.9"},
		"named to nobody":               {&authn.Options{}, nil, authn.TrustedProxies{}, "192.0.2.1"},
		"named to nobody, two of them":  {&authn.Options{}, &authn.Options{}, authn.TrustedProxies{}, "192.0.2.1"},
		"named to who asks, not others": {&authn.Options{}, nil, trusted, "203.0.113.9"},
		"who asks trusts another one":   {&authn.Options{Proxies: trusted}, nil, other, "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			var h http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = x.ask.ClientAddr(r).String() })
			for _, o := range []*authn.Options{x.inner, x.outer} {
				if o != nil {
					o.Logger = quiet
					h = authn.New(authn.Chain{unsaying{}}, o).Handler(h)
				}
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = "192.0.2.1:4000"
			r.Header.Set("X-Forwarded-For", "203.0.113.9")
			if h.ServeHTTP(httptest.NewRecorder(), r); got != x.want {
				t.Errorf("%s, want %s", got, x.want)
			}
		})
	}
	t.Run("outside of a middleware", func(t *testing.T) {
		r := httptest.NewRequest("GET", "/", nil)
		if got := (authn.TrustedProxies{}).ClientAddr(r).String(); got != "192.0.2.1" {
			t.Error(got)
		}
	})
}

// unsaying finds no credentials, and does not declare its headers.
type unsaying struct{}

func (unsaying) Authenticate(*http.Request) (authn.Identity, error) {
	return authn.Identity{}, authn.ErrNoCredentials
}

// A chain does not modify the request, also for a member that does not declare its headers.
func TestChainLeavesTheRequest(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Other x")
	r.Header.Set("Cookie", "a=b")
	var wg sync.WaitGroup
	for range 4 { // the race detector sees a write
		wg.Go(func() {
			for range 100 {
				_, _ = authn.Chain{unsaying{}}.Authenticate(r)
				if r.Header.Get("Cookie") != "a=b" {
					t.Error("the cookies are gone")
				}
			}
		})
	}
	wg.Wait()
}
