package authn_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
)

func TestClientAddr(t *testing.T) {
	proxies, err := authn.NewTrustedProxies("10.0.0.0/8", "127.0.0.1", "fd00::/8")
	must(t, err)
	t.Run("attack_208_forwarded_addresses", func(t *testing.T) {
		for _, x := range []struct{ peer, forwarded, want string }{
			{"10.0.0.1:1", "203.0.113.9", "203.0.113.9"},
			{"10.0.0.1:1", "1.1.1.1, 203.0.113.9", "203.0.113.9"},           // the left part is the client's own claim
			{"10.0.0.1:1", "1.1.1.1, 203.0.113.9, 10.9.9.9", "203.0.113.9"}, // two proxies
			{"10.0.0.1:1", "1.1.1.1|203.0.113.9", "203.0.113.9"},            // two header lines
			{"10.0.0.1:1", "203.0.113.9:4711", "203.0.113.9"},
			{"10.0.0.1:1", "[2001:db8::1]:4711", "2001:db8::1"},
			{"10.0.0.1:1", "2001:db8::1%eth0", "2001:db8::1"},
			{"10.0.0.1:1", "::ffff:203.0.113.9", "203.0.113.9"},
			{"[::ffff:10.0.0.1]:1", "203.0.113.9", "203.0.113.9"},
			{"10.0.0.1:1", "junk", "10.0.0.1"},
			{"10.0.0.1:1", "203.0.113.9, junk", "10.0.0.1"},
			{"10.0.0.1:1", "", "10.0.0.1"},
			{"10.0.0.1:1", "1.2.3.4, ", "10.0.0.1"},
			{"10.0.0.1:1", strings.Repeat("10.0.0.2,", 100) + "10.0.0.2", "10.0.0.2"},
			{"203.0.113.7:1", "1.1.1.1", "203.0.113.7"}, // not a named proxy
			{"[2001:db8::7%lo]:1", "1.1.1.1", "2001:db8::7"},
			{"@", "1.1.1.1", "invalid IP"},
			{"", "1.1.1.1", "invalid IP"},
		} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = x.peer
			r.Header.Set("Forwarded", "for=9.9.9.9")
			for _, line := range strings.Split(x.forwarded, "|") {
				r.Header.Add("X-Forwarded-For", line)
			}
			if got := proxies.ClientAddr(r).String(); got != x.want {
				t.Errorf("%s, %.40q: got %s, want %s", x.peer, x.forwarded, got, x.want)
			}
			if got := (authn.TrustedProxies{}).ClientAddr(r); got.IsValid() && x.forwarded != "" && got.String() == "1.1.1.1" {
				t.Errorf("nobody is trusted, and %s is believed", got)
			}
		}
	})
	for text, want := range map[string]string{"203.0.113.9": "203.0.113.9", "::ffff:203.0.113.9": "203.0.113.9", "::ffff:203.0.113.9%eth0": "203.0.113.9", "fe80::9%eth0": "fe80::/64", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64"} {
		if got := authn.NetworkOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("source of %s: %s", text, got)
		}
	}
	if got := authn.NetworkOf(netip.Addr{}); got != "unknown" {
		t.Errorf("source of no address: %s", got)
	}
	for _, bad := range []string{"", "10.0.0.0/33", "proxy.example.com", "::ffff:10.0.0.1"} {
		if _, err := authn.NewTrustedProxies(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestRequireTLS(t *testing.T) {
	proxies, err := authn.NewTrustedProxies("10.0.0.1")
	must(t, err)
	loopback, public := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:80")), net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:80"))
	for name, x := range map[string]struct {
		opts    *authn.TLSOptions
		method  string
		host    string
		local   net.Addr
		peer    string
		tls     bool
		headers []string
		code    int
		hsts    bool
	}{
		"tls":                            {tls: true, headers: []string{"Authorization: x"}, code: 200, hsts: true},
		"plain, no credential":           {code: 200},
		"plain, Authorization":           {headers: []string{"Authorization: x"}, code: 403},
		"plain, Cookie":                  {headers: []string{"Cookie: a=b"}, code: 403},
		"attack_349, X-Api-Key":          {opts: &authn.TLSOptions{Headers: []string{"x-api-key"}}, headers: []string{"X-Api-Key: x"}, code: 403},
		"no X-Api-Key":                   {opts: &authn.TLSOptions{Headers: []string{"x-api-key"}}, headers: []string{"X-Other: x"}, code: 200},
		"tls, X-Api-Key":                 {opts: &authn.TLSOptions{Headers: []string{"x-api-key"}}, tls: true, headers: []string{"X-Api-Key: x"}, code: 200, hsts: true},
		"plain, a login form":            {method: "POST", code: 403},
		"plain, a WebSocket":             {headers: []string{"Upgrade: websocket"}, code: 403},
		"tls, a WebSocket":               {tls: true, headers: []string{"Upgrade: websocket"}, code: 200, hsts: true},
		"unnamed proxy says https":       {headers: []string{"Authorization: x", "X-Forwarded-Proto: https"}, code: 403},
		"named proxy says https":         {opts: &authn.TLSOptions{Proxies: proxies}, peer: "10.0.0.1:5", headers: []string{"Authorization: x", "X-Forwarded-Proto: HTTPS"}, code: 200, hsts: true},
		"named proxy says http":          {opts: &authn.TLSOptions{Proxies: proxies}, peer: "10.0.0.1:5", headers: []string{"Authorization: x", "X-Forwarded-Proto: http"}, code: 403},
		"named proxy says both":          {opts: &authn.TLSOptions{Proxies: proxies}, peer: "10.0.0.1:5", headers: []string{"Authorization: x", "X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, code: 403},
		"another peer says https":        {opts: &authn.TLSOptions{Proxies: proxies}, peer: "10.0.0.2:5", headers: []string{"Authorization: x", "X-Forwarded-Proto: https"}, code: 403},
		"loopback":                       {opts: &authn.TLSOptions{AllowLoopback: true}, local: loopback, host: "localhost:8080", headers: []string{"Authorization: x"}, code: 200},
		"loopback, IPv6 host":            {opts: &authn.TLSOptions{AllowLoopback: true}, local: loopback, host: "[::1]:8080", headers: []string{"Authorization: x"}, code: 200},
		"loopback, not allowed":          {local: loopback, host: "localhost", headers: []string{"Authorization: x"}, code: 403},
		"loopback, another host":         {opts: &authn.TLSOptions{AllowLoopback: true}, local: loopback, host: "evil.example", headers: []string{"Authorization: x"}, code: 403},
		"loopback, another 127 host":     {opts: &authn.TLSOptions{AllowLoopback: true}, local: loopback, host: "127.0.0.2", headers: []string{"Authorization: x"}, code: 403},
		"loopback, behind a proxy":       {opts: &authn.TLSOptions{AllowLoopback: true}, local: loopback, host: "localhost", headers: []string{"Authorization: x", "X-Forwarded-Host: a"}, code: 403},
		"loopback, Forwarded":            {opts: &authn.TLSOptions{AllowLoopback: true}, local: loopback, host: "localhost", headers: []string{"Authorization: x", "Forwarded: for=1"}, code: 403},
		"loopback host, public listener": {opts: &authn.TLSOptions{AllowLoopback: true}, local: public, host: "localhost", headers: []string{"Authorization: x"}, code: 403},
		"hsts off":                       {opts: &authn.TLSOptions{MaxAge: -1}, tls: true, code: 200},
	} {
		t.Run(name, func(t *testing.T) {
			h := authn.RequireTLS(x.opts)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			r := httptest.NewRequest(max(x.method, "GET"), "/", nil)
			r.Host, r.TLS = x.host, nil
			if x.tls {
				r.TLS = new(tls.ConnectionState)
			}
			if x.peer != "" {
				r.RemoteAddr = x.peer
			}
			if x.local != nil {
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, x.local))
			}
			for _, line := range x.headers {
				name, value, _ := strings.Cut(line, ": ")
				r.Header.Add(name, value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("Strict-Transport-Security"); w.Code != x.code || (got != "") != x.hsts || x.hsts && got != "max-age=31536000" {
				t.Errorf("%d, HSTS %q", w.Code, got)
			}
		})
	}
}

const blanks = " \t\n\v\f\r"

var bearer = regexp.MustCompile(`^ +[-._~+/0-9A-Za-z]+=*$`)

func FuzzCredentials(f *testing.F) {
	for _, s := range []string{"Token abc", "Bearer abc", "bearer  a", "Basic YTpi", "Token", "", "\tToken a b", "Bearer a=", "Bearer =", "Bearer a=b", "Token a=b", "Token\ta", "Token a ", "Token  a", "Basic a:b", "Tokena", "Bearer \xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{value}
		for _, keyword := range []string{"Token", "Bearer", "Basic"} {
			got, err := authn.Credentials(r, keyword, strings.ToLower(keyword))
			// The quick way for usual credentials takes what the rules take, of ASCII.
			ascii := !strings.ContainsFunc(value, func(c rune) bool { return c >= utf8.RuneSelf })
			line := strings.TrimLeft(value, blanks)
			if ascii && len(line) >= len(keyword) && strings.EqualFold(line[:len(keyword)], keyword) {
				rest := line[len(keyword):]
				good := len(strings.Fields(rest)) == 1 && strings.Contains(blanks, rest[:1])
				if keyword == "Bearer" {
					good = bearer.MatchString(rest)
				}
				if good != (err == nil) {
					t.Fatalf("%q: got %q and %v under %s, want it taken: %t", value, got, err, keyword, good)
				}
			}
			if (got == "") != (err != nil) {
				t.Fatalf("%q: got %q and %v", value, got, err)
			}
			if err == nil && (strings.ContainsAny(got, " \t\r\n\v\f") || !strings.EqualFold(authn.Keyword(r), keyword) || !strings.HasSuffix(strings.TrimRight(value, " \t\r\n\v\f"), got)) {
				t.Fatalf("%q: got %q under %q", value, got, authn.Keyword(r))
			}
		}
	})
}

func FuzzForwarded(f *testing.F) {
	f.Add("10.0.0.1:1", "1.1.1.1, 10.0.0.2")
	f.Add("[::1]:1", "[::1]:2, ::ffff:1.2.3.4, fe80::1%eth0")
	proxies, err := authn.NewTrustedProxies("10.0.0.0/8", "::1")
	must(f, err)
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header["X-Forwarded-For"] = []string{forwarded}
		if a := proxies.ClientAddr(r); a.IsValid() && (a.Zone() != "" || a.Is4In6()) {
			t.Errorf("%q, %q: %s is not in its one form", peer, forwarded, a)
		}
	})
}
