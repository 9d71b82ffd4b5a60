package csrf

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

func TestNullOrigin(t *testing.T) {
	s, err := New("https://app.example", nil)
	must(t, err)
	strict, err := New("https://app.example", &Options{Strict: true})
	must(t, err)
	for name, tc := range map[string]struct {
		headers []string
		ok      bool
	}{
		"edge_B12/same-origin":         {[]string{"Origin", "null", "Sec-Fetch-Site", "same-origin"}, true},
		"edge_B12/alone":               {[]string{"Origin", "null"}, false},
		"edge_B12/cross-site":          {[]string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, false},
		"edge_B12/same-site":           {[]string{"Origin", "null", "Sec-Fetch-Site", "same-site"}, false},
		"edge_B12/none":                {[]string{"Origin", "null", "Sec-Fetch-Site", "none"}, false},
		"edge_B12/empty":               {[]string{"Origin", "null", "Sec-Fetch-Site", ""}, false},
		"edge_B12/two words":           {[]string{"Origin", "null", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "same-origin"}, false},
		"edge_B12/two origins":         {[]string{"Origin", "null", "Origin", "null", "Sec-Fetch-Site", "same-origin"}, false},
		"edge_B12/another spelling":    {[]string{"Origin", "NULL", "Sec-Fetch-Site", "same-origin"}, false},
		"edge_B12/foreign same-origin": {[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "same-origin"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, check := range []func(*http.Request) error{s.Check, strict.Check, SameOrigin} {
				if err := check(request("app.example", tc.headers...)); (err == nil) != tc.ok {
					t.Errorf("got %v, want accepted: %t", err, tc.ok)
				}
			}
		})
	}
	if err := s.Check(request("evil.example", "Origin", "null", "Sec-Fetch-Site", "same-origin")); err == nil {
		t.Error("edge_B12: the host is not checked")
	}
}

// If a gateway drops Upgrade, a WebSocket handshake is indistinguishable from a plain GET.
func TestUpgrades(t *testing.T) {
	s, err := New("https://app.example", nil)
	must(t, err)
	for name, header := range map[string][2]string{
		"edge_A04/Upgrade": {"Upgrade", "websocket"}, "edge_A04/h2c": {"Upgrade", "h2c"}, "edge_A04/empty": {"Upgrade", ""},
		"edge_A04/key":     {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
		"edge_A04/version": {"Sec-WebSocket-Version", "13"},
		"edge_A04/mode":    {"Sec-Fetch-Mode", "websocket"}, "edge_A04/mode in capitals": {"Sec-Fetch-Mode", "WebSocket"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request("app.example", header[0], header[1])
			r.Method = "GET"
			if !IsUnsafe(r) {
				t.Error("safe")
			}
			if err := s.Check(r); err != nil {
				t.Errorf("a program's: %v", err)
			}
			r.Header.Set("Origin", "https://app.example")
			if err := s.Check(r); err != nil {
				t.Errorf("its own page's: %v", err)
			}
			r.Header.Set("Origin", "https://evil.example")
			if err := s.Check(r); err == nil {
				t.Error("another site's passes")
			}
			if err := SameOrigin(r); err == nil {
				t.Error("another site's passes SameOrigin")
			}
		})
	}
	r := request("app.example", "Sec-Fetch-Mode", "navigate", "Origin", "https://evil.example")
	if r.Method = "GET"; s.Check(r) != nil {
		t.Error("a link from another site is refused")
	}
}

// The log has details about a rejection that the client does not get.
func TestReasons(t *testing.T) {
	proxies, err := authn.NewTrustedProxies("10.0.0.0/8")
	must(t, err)
	direct, err := New("https://app.example", nil)
	must(t, err)
	behind, err := New("https://app.example", &Options{Proxies: proxies, TrustedOrigins: []string{"https://front.example"}})
	must(t, err)
	over := func(peer string, r *http.Request) *http.Request {
		r.TLS, r.RemoteAddr = nil, peer
		return r
	}
	secret := []string{"Cookie", "session=s3cret", "Authorization", "Bearer s3cret", "Referer", "https://evil.example/?code=s3cret"}
	for name, tc := range map[string]struct {
		site *Site
		r    *http.Request
		want []string
	}{
		"edge_C11/TLS ends at a proxy that is not named": {direct, over("172.17.0.1:5", request("app.example", "X-Forwarded-Proto", "https", "Origin", "https://app.example")),
			[]string{"172.17.0.1", "csrf.Options.Proxies", "scheme http", `X-Forwarded-Proto "https"`}},
		"edge_C11/a proxy without X-Forwarded-Proto": {behind, over("10.0.0.1:5", request("app.example")), []string{"X-Forwarded-Proto: https", "got absent"}},
		"edge_C11/two of them":                       {behind, over("10.0.0.1:5", request("app.example", "X-Forwarded-Proto", "https", "X-Forwarded-Proto", "https")), []string{"got 2 times"}},
		"edge_C11/a Unix socket":                     {direct, over("@", request("app.example")), []string{"authn.UnixSocket", "csrf.Options.Proxies"}},
		"edge_C11/Host rewritten":                    {direct, request("127.0.0.1:8080", "Origin", "https://app.example"), []string{`host "127.0.0.1:8080"`, "csrf.Options.Hosts", "expected https://app.example", `origin "https://app.example"`, "scheme https"}},
		"edge_C11/another origin":                    {behind, request("app.example", "Origin", "https://evil.example"), []string{`origin "https://evil.example"`, "csrf.Options.TrustedOrigins", "expected https://app.example, https://front.example"}},
		"edge_C11/another site":                      {direct, request("app.example", "Sec-Fetch-Site", "cross-site"), []string{`Sec-Fetch-Site "cross-site"`, "origin absent", "csrf.Options.TrustedOrigins"}},
		"edge_C11/a null origin":                     {direct, request("app.example", "Origin", "null"), []string{`origin "null"`, "Sec-Fetch-Site same-origin"}},
		"edge_C11/a referer":                         {direct, request("app.example"), []string{`Referer is from "https://evil.example"`}},
		"edge_C11/loopback":                          {Loopback(), request("app.example"), []string{"csrf.New", "loopback"}},
		"edge_C11/a line break":                      {direct, request("app.example", "Origin", "a\nb"), []string{`"a\nb"`}},
		"edge_C11/a long one":                        {direct, request("app.example", "Origin", strings.Repeat("a", 5000)), []string{strings.Repeat("a", 100) + `"…`}},
	} {
		t.Run(name, func(t *testing.T) {
			for i := 0; i < len(secret); i += 2 {
				tc.r.Header.Set(secret[i], secret[i+1])
			}
			err := tc.site.Check(tc.r)
			var e *authn.Error
			if !errors.As(err, &e) || e.Status != 403 {
				t.Fatalf("got %v", err)
			}
			reason := e.Unwrap().Error()
			for _, want := range append(tc.want, "cross-origin check") {
				if !strings.Contains(reason, want) {
					t.Errorf("%q is not in: %s", want, reason)
				}
			}
			if strings.Contains(reason, "s3cret") || strings.Contains(reason, "\n") || len(reason) > 1000 {
				t.Errorf("the reason holds a secret, a line break or too much: %s", reason)
			}
			if strings.Contains(e.Detail, "Options") {
				t.Errorf("the client is told %q", e.Detail)
			}
		})
	}
}

// A peer on a Unix socket is trusted by name like one with an address.
func TestUnixSocket(t *testing.T) {
	unix, err := authn.NewTrustedProxies(authn.UnixSocket)
	must(t, err)
	for name, proxies := range map[string]authn.TrustedProxies{"edge_C09/named": unix, "edge_C09/not named": {}} {
		t.Run(name, func(t *testing.T) {
			s, err := New("https://app.example", &Options{Proxies: proxies})
			must(t, err)
			r := httptest.NewRequest("POST", "/", nil)
			r.Host, r.RemoteAddr = "app.example", "@"
			r.Header.Set("X-Forwarded-Proto", "https")
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Name: "/run/s", Net: "unix"})))
			if err := s.Check(r); (err == nil) == proxies.IsZero() {
				t.Errorf("got %v", err)
			}
			if s.Proxies().TrustsUnixSocket() == proxies.IsZero() {
				t.Error("Proxies is wrong")
			}
		})
	}
}

func TestIsHost(t *testing.T) {
	s, err := New("https://app.example", &Options{Hosts: []string{"www.app.example:8443"}})
	must(t, err)
	for host, want := range map[string]bool{"app.example": true, "APP.example:443": true, "www.app.example:8443": true, "www.app.example": false, "": false, "app.example.": false, "app.example:80": false, "evil.example": false} {
		if s.IsHost(host) != want {
			t.Errorf("%q: %t", host, !want)
		}
	}
	for host, want := range map[string]bool{"localhost:1": true, "127.0.0.1": true, "[::1]:8080": true, "app.example": false, "localhost.evil.example": false} {
		if Loopback().IsHost(host) != want {
			t.Errorf("loopback %q: %t", host, !want)
		}
	}
}
