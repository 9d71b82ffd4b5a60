package proxy_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/proxy"
	"github.com/vestibule-auth/vestibule/authz"
)

func TestEnvoy(t *testing.T) {
	const envoys = "200 user=1 scheme=jwt client= scopes= issuer=" // its HTTP service takes 204 for a refusal
	w := newWorld(t, config{dialect: proxy.Envoy, opts: proxy.ForwardAuthOptions{Login: "/login?from=envoy", Prefix: "/check"}})
	const host, https, from = "Host: app.example", "X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9"
	for name, tc := range map[string]struct {
		method, target string
		headers        []string
		want           string
	}{
		// As Envoy's HTTP service sends it: the client's method and Host, the path after
		// path_prefix.
		"accepted":                       {"GET", "/check/notes/7?x=y", []string{host, https, from, "Authorization: Bearer alice", "Content-Length: 0", "X-Envoy-Internal: true", "X-Envoy-Expected-Rq-Timeout-Ms: 1000", "X-Request-Id: x"}, envoys},
		"by default, with fewer headers": {"GET", "/check/a", []string{host, "Authorization: Bearer alice"}, envoys},
		"page":                           {"GET", "/check/a?b", []string{host, https, from, "Accept: text/html"}, "303 /login?from=envoy&next=%2Fa%3Fb"},
		"edge_A04/cross-site":            {"POST", "/check/a", []string{host, https, from, "Cookie: id=alice", "Origin: https://evil.example"}, "403"},
		"edge_A04/no scheme":             {"POST", "/check/a", []string{host, from, "Cookie: id=alice", "Origin: https://app.example"}, "403"},
		"own page":                       {"POST", "/check/a", []string{host, https, from, "Cookie: id=alice", "Origin: https://app.example"}, "200 user=1 scheme=careless client= scopes= issuer="},
		"edge_A04/host":                  {"GET", "/check/a", []string{"Host: evil.example", https, from, "Authorization: Bearer alice"}, "403"},
		"edge_A04/no prefix":             {"GET", "/a", []string{host, https, from, "Authorization: Bearer alice"}, "403"},
		"edge_A04/prefix alone":          {"GET", "/check", []string{host, https, from, "Authorization: Bearer alice"}, "403"},
		"edge_A04/longer prefix":         {"GET", "/checkx/a", []string{host, https, from, "Authorization: Bearer alice"}, "403"},
		"edge_A04/query":                 {"GET", "/check?/a", []string{host, https, from, "Authorization: Bearer alice"}, "403"},
		"edge_A04/absolute":              {"GET", "http://app.example/check/a", []string{host, https, from, "Authorization: Bearer alice"}, "403"},
		"edge_A04/encoded slash":         {"GET", "/check/open%2Fa", []string{host, https, from, "Authorization: Bearer alice"}, "403"},
		"edge_A04/out of the prefix":     {"GET", "/check/../admin", []string{host, https, from, "Authorization: Bearer alice"}, "403"},
		"edge_A04/two schemes":           {"GET", "/check/a", []string{host, https, https, from, "Authorization: Bearer alice"}, "403"},
		"edge_A04/two addresses":         {"GET", "/check/a", []string{host, https, from, from, "Authorization: Bearer alice"}, "403"},
		"edge_A04/X-Original-URI":        {"GET", "/check/admin", []string{host, https, from, "Authorization: Bearer alice", "X-Original-URI: /open"}, "403"},
		"edge_A04/X-Forwarded-Uri":       {"GET", "/check/admin", []string{host, https, from, "Authorization: Bearer alice", "X-Forwarded-Uri: /open"}, "403"},
		"edge_A04/X-Forwarded-Host":      {"GET", "/check/admin", []string{host, https, from, "Authorization: Bearer alice", "X-Forwarded-Host: app.example"}, "403"},
		"edge_A04/X-Forwarded-Method":    {"POST", "/check/admin", []string{host, https, from, "Authorization: Bearer alice", "X-Forwarded-Method: GET"}, "403"},
		"edge_A04/identity":              {"GET", "/check/a", []string{host, https, from, "Authorization: Bearer alice", "x-auth_user: 2"}, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			if got := answer(w.ask(gateway, tc.method, tc.target, tc.headers...)); got != tc.want {
				t.Errorf("got %s, want %s\n%s", got, tc.want, w.log.String())
			}
		})
	}
	always := newWorld(t, config{dialect: proxy.Envoy, opts: proxy.ForwardAuthOptions{Accepted: 204}})
	if got := answer(always.ask(gateway, "GET", "/forward-auth/a", host, https, from, "Authorization: Bearer alice")); got != alice {
		t.Errorf("Accepted 204: %s", got)
	}
	w.ask(gateway, "DELETE", "/check/notes/7?x=y", host, https, from, "Authorization: Bearer alice")
	if r := w.seen; r == nil || r.Method != "DELETE" || r.URL.Path != "/notes/7" || r.RequestURI != "/notes/7?x=y" {
		t.Errorf("the guard sees %+v", r)
	}
}

// Headers that Traefik 3 and Caddy 2 add according to their documentation are accepted.
func TestRecorded(t *testing.T) {
	w := newWorld(t, config{dialect: proxy.Traefik})
	got := answer(w.ask(gateway, "GET", "/forward-auth", traefik("GET", "/a", "X-Forwarded-Port: 443", "X-Forwarded-Server: edge-1", "X-Real-Ip: 203.0.113.9", "Accept-Encoding: gzip", "User-Agent: curl/8", "Authorization: Bearer alice")...))
	if got != alice {
		t.Errorf("Traefik: %s %s", got, w.log.String())
	}
	w = newWorld(t, config{dialect: proxy.Caddy})
	got = answer(w.ask(gateway, "GET", "/forward-auth", traefik("PUT", "/a", "Via: 1.1 Caddy", "Content-Length: 0", "Authorization: Bearer alice")...))
	if got != alice {
		t.Errorf("Caddy: %s %s", got, w.log.String())
	}
	// Traefik and Caddy pass on the client's X-Original-* headers.
	for _, dialect := range []proxy.Dialect{proxy.Traefik, proxy.Caddy} {
		w = newWorld(t, config{dialect: dialect})
		if got := answer(w.ask(gateway, "GET", "/forward-auth", traefik("POST", "/admin", "X-Original-URI: /open", "X-Original-Method: GET", "Authorization: Bearer alice")...)); got != "403" {
			t.Errorf("edge_A04/%s: %s", dialect, got)
		}
	}
}

// Traefik resolves a relative Location against this server's address, unless it is configured to
// keep it.
func TestAbsoluteLogin(t *testing.T) {
	for login, want := range map[string]string{"https://app.example/login": "303 https://app.example/login?next=%2Fa", "https://WWW.app.example:443/in?x=y": "303 https://WWW.app.example:443/in?x=y&next=%2Fa"} {
		w := newWorld(t, config{dialect: proxy.Traefik, opts: proxy.ForwardAuthOptions{Login: login}})
		if got := answer(w.ask(gateway, "GET", "/", traefik("GET", "/a", "Accept: text/html")...)); got != want {
			t.Errorf("edge_A04/%s: %s, want %s", login, got, want)
		}
		_, path, _ := strings.Cut(strings.TrimPrefix(login, "https://"), "/")
		if got := answer(w.ask(gateway, "GET", "/", traefik("GET", "/"+path, "Accept: text/html")...)); got != "401 Bearer" {
			t.Errorf("edge_A04/%s, the page itself: %s", login, got)
		}
	}
}

func TestPeers(t *testing.T) {
	w := newWorld(t, config{dialect: proxy.Nginx})
	for _, peer := range []string{"10.0.0.2:1", "203.0.113.9:1", "", "@", "127.0.0.1:1"} {
		if got := answer(w.ask(peer, "GET", "/", nginx("GET", "/a", "Authorization: Bearer alice")...)); got != "403" || !strings.Contains(w.log.String(), "trusted proxy") {
			t.Errorf("edge_A04/peer %q: %s %s", peer, got, w.log.String())
		}
	}
	// An untrusted peer learns nothing about what is wrong with its request.
	if got := answer(w.ask("203.0.113.9:1", "GET", "/", "X-Auth-User: 1")); got != "403" {
		t.Errorf("peer with an identity header: %s", got)
	}
}

// A gateway that connects to a Unix socket is trusted by name like one with an address.
func TestUnixPeer(t *testing.T) {
	unix, err := authn.NewTrustedProxies(authn.UnixSocket)
	must(t, err)
	site, err := csrf.New(origin, &csrf.Options{Proxies: unix})
	must(t, err)
	h, err := proxy.NewForwardAuth(proxy.Nginx, unix, site, authn.New(authn.Chain{bearer{}, careless{}}, nil), authz.Require(authz.IsAuthenticated), nil)
	must(t, err)
	over := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Name: "/run/s", Net: "unix"}))))
	})
	w := &world{t: t, handler: over}
	if got := answer(w.ask("@", "GET", "/", nginx("POST", "/a", "Cookie: id=alice", "Origin: https://app.example")...)); !strings.HasPrefix(got, "204 ") {
		t.Errorf("edge_C09: %s", got)
	}
	w.handler = h
	if got := answer(w.ask("@", "GET", "/", nginx("GET", "/a", "Authorization: Bearer alice")...)); got != "403" {
		t.Errorf("edge_C09: over a network: %s", got)
	}
}

// With AllowAny an anonymous request is accepted without an identity; a bad credential is rejected.
func TestPublic(t *testing.T) {
	w := newWorld(t, config{dialect: proxy.Nginx, guard: authz.AllowAny})
	for authorization, want := range map[string]string{"": "204 user= scheme= client= scopes= issuer=", "Bearer alice": alice, "Bearer bad": "401 Bearer", "Bearer client": "403", "Bearer foreign": "403"} {
		headers := nginx("POST", "/a", "Origin: https://evil.example")
		if authorization != "" {
			headers = append(headers, "Authorization: "+authorization)
		}
		if got := answer(w.ask(gateway, "GET", "/", headers...)); got != want {
			t.Errorf("edge_A04/%q: %s, want %s", authorization, got, want)
		}
	}
}

// FuzzOriginal checks, for any headers of a gateway: with a cross-site cookie only safe methods are
// accepted, the guard gets a clean path of a known host, and nothing panics.
func FuzzOriginal(f *testing.F) {
	for _, s := range [][5]string{
		{"POST", "/a", "app.example", "https", "203.0.113.9"}, {"GET", "/a/../b", "app.example", "wss", "unix:"}, {"get", "//evil", "evil.example", "http", ""}, {"GET", "/a;..;/b?c#d", "APP.example:443", "HTTPS", "x, y"},
	} {
		f.Add(uint8(1), s[0], s[1], s[2], s[3], s[4])
		f.Add(uint8(2), s[0], s[1], s[2], s[3], s[4])
	}
	worlds := map[proxy.Dialect]*world{}
	f.Fuzz(func(t *testing.T, n uint8, method, uri, host, proto, from string) {
		d := proxy.Dialect(n%4 + 1)
		w := worlds[d]
		if w == nil {
			w = newWorld(t, config{dialect: d})
			worlds[d] = w
		}
		w.t = t
		names := [2][3]string{{"X-Original-Method: ", "X-Original-URI: ", "X-Original-Host: "}, {"X-Forwarded-Method: ", "X-Forwarded-Uri: ", "X-Forwarded-Host: "}}
		own := names[min(int(d)-1, 1)]
		headers := []string{own[0] + method, own[1] + uri, own[2] + host, "X-Forwarded-Proto: " + proto, "X-Forwarded-For: " + from, "Cookie: id=alice", "Origin: https://evil.example"}
		target, verb := "/", "GET"
		if d == proxy.Envoy {
			headers, target = append(headers[3:], "Host: "+host), "/forward-auth"+uri
		}
		rec := w.ask(gateway, verb, target, headers...)
		switch rec.Code {
		case 200, 204:
			r := w.seen
			if m := r.Method; m != "GET" && m != "HEAD" && m != "OPTIONS" || proto == "wss" {
				t.Fatalf("%q passes with another site's cookie", method)
			}
			if p := r.URL.Path; r.RequestURI != uri || p == "" || p[0] != '/' || strings.Contains(p, "//") || strings.Contains(p+"/", "/../") || strings.ContainsAny(p, "\\\x00") || r.URL.Host != "" {
				t.Fatalf("the guard sees %q of %q", p, uri)
			}
			if !strings.EqualFold(strings.TrimSuffix(r.Host, ":443"), "app.example") && !strings.EqualFold(strings.TrimSuffix(r.Host, ":443"), "www.app.example") {
				t.Fatalf("host %q", r.Host)
			}
		case 403:
		default:
			t.Fatalf("answer %d", rec.Code)
		}
	})
}
