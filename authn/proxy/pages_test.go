package proxy_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/proxy"
	"github.com/vestibule-auth/vestibule/authz"
)

// sessions is a scheme in which the session "ended" has expired and the session "doubtful" is
// rejected.
type sessions struct{ careless }

var errEnded = errors.New("ended")

func (s sessions) Authenticate(r *http.Request) (authn.Identity, error) {
	switch v, _ := authn.Cookie(r, "id"); v {
	case "ended":
		return authn.Identity{}, authn.AuthenticationFailed("Invalid session.").WithCause(errEnded)
	case "doubtful":
		return authn.Identity{}, authn.AuthenticationFailed("Invalid session.")
	case "down":
		return authn.Identity{}, errDown
	}
	return s.careless.Authenticate(r)
}

func (sessions) Lapsed(_ *http.Request, err error) (bool, error) {
	return errors.Is(err, errEnded), nil
}

// The gateway drops the response's cookies, so an expired session stays in the browser. Its visitor
// is redirected to the login like one without a session.
func Test_edge_B06_gateway(t *testing.T) {
	w := newWorld(t, config{dialect: proxy.Traefik})
	proxies, err := authn.NewTrustedProxies("10.0.0.1")
	must(t, err)
	site, err := csrf.New(origin, &csrf.Options{Proxies: proxies})
	must(t, err)
	for _, d := range []proxy.Dialect{proxy.Traefik, proxy.Nginx} {
		w.handler, err = proxy.NewForwardAuth(d, proxies, site, authn.New(authn.Chain{bearer{}, sessions{}}, nil), authz.Require(authz.IsAuthenticated), &proxy.ForwardAuthOptions{Login: "/login"})
		must(t, err)
		describe, to := traefik, "303 /login?next=%2Fa"
		if d == proxy.Nginx {
			describe, to = nginx, "401 Bearer /login?next=%2Fa"
		}
		for name, tc := range map[string]struct {
			method string
			more   []string
			want   string
		}{
			"page":               {"GET", []string{"Accept: text/html", "Cookie: id=ended"}, to},
			"not a page":         {"GET", []string{"Cookie: id=ended"}, "401 Bearer"},
			"form":               {"POST", []string{"Accept: text/html", "Cookie: id=ended", "Origin: " + origin}, "401 Bearer"},
			"with Authorization": {"GET", []string{"Accept: text/html", "Cookie: id=ended", "Authorization: Bearer bad"}, "401 Bearer"},
			"doubtful":           {"GET", []string{"Accept: text/html", "Cookie: id=doubtful"}, "401 Bearer"},
			"a fault":            {"GET", []string{"Accept: text/html", "Cookie: id=down"}, "503"},
			"a page, and alive":  {"GET", []string{"Accept: text/html", "Cookie: id=alice"}, "204 user=1 scheme=careless client= scopes= issuer="},
			"a WebSocket":        {"GET", []string{"Accept: text/html", "Sec-Fetch-Mode: websocket", "Cookie: id=ended"}, "401 Bearer"},
		} {
			if got := answer(w.ask(gateway, tc.method, "/", describe(tc.method, "/a", tc.more...)...)); got != tc.want {
				t.Errorf("%s, %s: %s, want %s", d, name, got, tc.want)
			}
		}
	}
}
