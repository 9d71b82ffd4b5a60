package authn_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// overUnix returns a request as a server on a Unix socket gets it.
func overUnix(peer string, forwarded ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = peer
	for _, line := range forwarded {
		r.Header.Add("X-Forwarded-For", line)
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Name: "/run/app.sock", Net: "unix"})))
}

// A network that includes clients lets each of them choose its address.
func TestWideProxies_attack_458(t *testing.T) {
	for _, bad := range []string{"0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/7", "::/0", "fc00::/6", "8000::/1"} {
		if p, err := authn.NewTrustedProxies("10.0.0.1", bad); err == nil || !p.IsZero() {
			t.Errorf("%s: %+v, %v", bad, p, err)
		}
	}
	for _, good := range []string{"10.0.0.0/8", "fc00::/7", "2400:cb00::/32"} {
		if _, err := authn.NewTrustedProxies(good); err != nil {
			t.Error(err)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	unix, err := authn.NewTrustedProxies(authn.UnixSocket)
	must(t, err)
	both, err := authn.NewTrustedProxies("10.0.0.0/8", authn.UnixSocket)
	must(t, err)
	tcp, err := authn.NewTrustedProxies("10.0.0.0/8", "203.0.0.0/8", "fc00::/7")
	must(t, err)
	if !unix.TrustsUnixSocket() || unix.IsZero() || tcp.TrustsUnixSocket() || !(authn.TrustedProxies{}).IsZero() || tcp.IsZero() {
		t.Error("IsZero or TrustsUnixSocket is wrong")
	}
	for name, tc := range map[string]struct {
		proxies authn.TrustedProxies
		r       *http.Request
		want    string // the client
	}{
		"edge_C09/empty":                {unix, overUnix("", "203.0.113.9"), "203.0.113.9"},
		"edge_C09/at":                   {unix, overUnix("@", "203.0.113.9"), "203.0.113.9"},
		"edge_C09/abstract":             {unix, overUnix("@client", "203.0.113.9"), "203.0.113.9"},
		"edge_C09/a path":               {unix, overUnix("/run/nginx.sock", "203.0.113.9"), "203.0.113.9"},
		"edge_C09/the client's own":     {unix, overUnix("@", "1.1.1.1, 203.0.113.9"), "203.0.113.9"},
		"edge_C09/two lines":            {unix, overUnix("@", "1.1.1.1", "203.0.113.9"), "203.0.113.9"},
		"edge_C09/nginx behind another": {unix, overUnix("@", "1.1.1.1, 203.0.113.9, unix:"), "203.0.113.9"},
		"edge_C09/unix alone":           {unix, overUnix("@", "unix:"), "invalid IP"},
		"edge_C09/a client's unix:":     {unix, overUnix("@", "1.1.1.1, unix:, 203.0.113.9"), "203.0.113.9"},
		"edge_C09/other words":          {unix, overUnix("@", "1.1.1.1, unix"), "invalid IP"},
		"edge_C09/no header":            {unix, overUnix("@"), "invalid IP"},
		"edge_C09/then a network":       {both, overUnix("@", "203.0.113.9, 10.1.1.1"), "203.0.113.9"},
		"edge_C09/bound":                {unix, overUnix("@", strings.Repeat("unix:,", 40)+"unix:"), "invalid IP"},
		"without the option":            {tcp, overUnix("@", "203.0.113.9"), "invalid IP"},
		"without the option, unix:":     {tcp, overUnix("10.0.0.1:1", "203.0.113.9, unix:"), "10.0.0.1"},
		"nobody":                        {authn.TrustedProxies{}, overUnix("@", "203.0.113.9"), "invalid IP"},
		// A middleware copies a client's header to RemoteAddr.
		"edge_C09/an address that was written over": {unix, overUnix("192.0.2.1:1", "203.0.113.9"), "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.proxies.ClientAddr(tc.r).String(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	t.Run("edge_C09/a network connection without an address", func(t *testing.T) {
		for _, peer := range []string{"", "@", "@x", "/run/x", "junk"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = peer
			r.Header.Set("X-Forwarded-For", "203.0.113.9")
			r.Header.Set("X-Forwarded-Proto", "https")
			for _, local := range []net.Addr{nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}} {
				if local != nil {
					r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
				}
				if unix.TrustsPeer(r) || unix.ClientAddr(r).IsValid() || unix.IsHTTPS(r) {
					t.Errorf("peer %q is believed", peer)
				}
			}
		}
	})
	t.Run("a proxy in front of a Unix socket is not loopback", func(t *testing.T) {
		r := overUnix("@")
		r.Host = "localhost" // what nginx sends unless it is told otherwise
		if authn.OnLoopback(r) {
			t.Error("on loopback")
		}
	})
}

// The values that RequireTLS and limits read, with a real socket and both versions of HTTP.
func TestUnixSocketServer(t *testing.T) {
	proxies, err := authn.NewTrustedProxies(authn.UnixSocket)
	must(t, err)
	path := filepath.Join(t.TempDir(), "s")
	for _, address := range []string{path, "@vestibule-test-" + filepath.Base(filepath.Dir(path))} {
		l, err := net.Listen("unix", address)
		must(t, err)
		server := &http.Server{Protocols: new(http.Protocols), Handler: authn.RequireTLS(&authn.TLSOptions{Proxies: proxies})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Proto, " ", authn.NetworkOf(proxies.ClientAddr(r)))
		}))}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
		for _, h2 := range []bool{false, true} {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!h2)
			protocols.SetUnencryptedHTTP2(h2)
			transport := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", address)
			}}
			t.Cleanup(transport.CloseIdleConnections)
			for proto, want := range map[string]string{"https": "203.0.113.9", "http": "403"} {
				r, err := http.NewRequest("POST", "http://app.example/login", nil)
				must(t, err)
				r.Header.Set("X-Forwarded-For", "203.0.113.9")
				r.Header.Set("X-Forwarded-Proto", proto)
				res, err := transport.RoundTrip(r)
				must(t, err)
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if got := fmt.Sprint(res.StatusCode, string(body)); !strings.Contains(got, want) {
					t.Errorf("edge_C09: %s, h2 %t: %s, want %s", proto, h2, got, want)
				}
			}
		}
	}
}

func TestIsHTTPS(t *testing.T) {
	proxies, err := authn.NewTrustedProxies("10.0.0.1")
	must(t, err)
	for _, tc := range []struct {
		peer  string
		tls   bool
		proto []string
		want  bool
	}{
		{"10.0.0.1:1", false, []string{"https"}, true},
		{"10.0.0.1:1", false, []string{"wss"}, true}, // Traefik's, for a WebSocket
		{"10.0.0.1:1", false, []string{"ws"}, false},
		{"10.0.0.1:1", false, []string{"https", "http"}, false},
		{"10.0.0.1:1", false, []string{"https, http"}, false},
		{"10.0.0.1:1", false, []string{"https,https"}, false},
		{"10.0.0.1:1", false, nil, false},
		{"10.0.0.1:1", true, nil, true},
		{"10.0.0.1:1", true, []string{"http"}, false}, // the proxy's own connection is no news of the client's
		{"10.0.0.1:1", true, []string{"https", "https"}, false},
		{"10.0.0.2:1", true, []string{"http"}, true}, // no proxy of ours
		{"10.0.0.2:1", false, []string{"https"}, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tc.peer
		if tc.tls {
			r.TLS = new(tls.ConnectionState)
		}
		for _, p := range tc.proto {
			r.Header.Add("X-Forwarded-Proto", p)
		}
		if got := proxies.IsHTTPS(r); got != tc.want {
			t.Errorf("%s, TLS %t, %q: %t", tc.peer, tc.tls, tc.proto, got)
		}
	}
}

// A middleware that trusts a Unix socket knows the client behind another middleware that does not.
func Test_edge_C09_nested(t *testing.T) {
	unix, err := authn.NewTrustedProxies(authn.UnixSocket)
	must(t, err)
	var got netip.Addr
	inner := authn.New(authn.Chain{absent}, &authn.Options{Proxies: unix}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = storage.ClientAddr(r.Context()) }))
	for name, h := range map[string]http.Handler{"alone": inner, "bare": authn.New(authn.Chain{absent}, nil).Public(inner), "twice": authn.New(authn.Chain{absent}, nil).Handler(inner)} {
		h.ServeHTTP(httptest.NewRecorder(), overUnix("@", "203.0.113.9"))
		if got.String() != "203.0.113.9" {
			t.Errorf("%s: %v", name, got)
		}
	}
}
