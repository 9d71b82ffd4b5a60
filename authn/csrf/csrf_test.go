package csrf

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

func TestSites(t *testing.T) {
	for _, origin := range []string{"", "app.example", "http://app.example", "https://", "https://app.example/", "https://app.example/x", "https://u@app.example",
		"https://app.example?", "https://app.example#", "https://*.example", "https:app.example", "null", "*", "https://a b"} {
		if _, err := New(origin, nil); err == nil {
			t.Errorf("%q: taken", origin)
		}
		if _, err := New("https://app.example", &Options{TrustedOrigins: []string{origin}}); err == nil {
			t.Errorf("trusted %q: taken", origin)
		}
	}
	for _, host := range []string{"", "https://app.example", "a/b", "*.example"} {
		if _, err := New("https://app.example", &Options{Hosts: []string{host}}); err == nil {
			t.Errorf("host %q: taken", host)
		}
	}
}

// request returns a POST over https; headers are pairs of name and value.
func request(host string, headers ...string) *http.Request {
	r := httptest.NewRequest("POST", "/", nil)
	r.Host, r.TLS = host, &tls.ConnectionState{}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestCheck(t *testing.T) {
	s, err := New("https://App.example:443", &Options{Hosts: []string{"www.app.example", "app.example:8443"}, TrustedOrigins: []string{"https://front.example"}})
	must(t, err)
	strict, err := New("https://app.example", &Options{Strict: true})
	must(t, err)
	for name, tc := range map[string]struct {
		site *Site
		r    *http.Request
		want string // "" passes
	}{
		"own":                           {s, request("app.example", "Origin", "https://app.example", "Sec-Fetch-Site", "same-origin"), ""},
		"own, with its port":            {s, request("app.example:443", "Origin", "https://app.example"), ""},
		"another port":                  {s, request("app.example", "Origin", "https://app.example:8443"), "Origin checking failed"},
		"another host's port":           {s, request("app.example:8443", "Origin", "https://app.example:8443"), ""},
		"www":                           {s, request("www.app.example", "Origin", "https://www.app.example"), ""},
		"from one host to another":      {s, request("www.app.example", "Origin", "https://app.example"), "does not match any trusted origins"},
		"unknown host":                  {s, request("evil.example", "Origin", "https://evil.example"), "Host"},
		"unknown host, no origin":       {s, request("evil.example"), "Host"},
		"trusted":                       {s, request("app.example", "Origin", "https://front.example", "Sec-Fetch-Site", "cross-site"), ""},
		"trusted, over http":            {s, request("app.example", "Origin", "http://front.example", "Sec-Fetch-Site", "cross-site"), "http://front.example does not match"},
		"trusted host's suffix":         {s, request("app.example", "Origin", "https://front.example.evil"), "does not match"},
		"nobody's":                      {s, request("app.example"), ""},
		"nobody's, strict":              {strict, request("app.example"), "no Origin"},
		"referer, strict":               {strict, request("app.example", "Referer", "https://app.example/"), ""},
		"typed":                         {s, request("app.example", "Sec-Fetch-Site", "none"), ""},
		"same site":                     {s, request("app.example", "Sec-Fetch-Site", "same-site"), "another site"},
		"unknown word":                  {s, request("app.example", "Sec-Fetch-Site", "same-origin2"), "another site"},
		"own origin, said cross":        {s, request("app.example", "Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"), "another site"},
		"two origins":                   {s, request("app.example", "Origin", "https://app.example", "Origin", "https://app.example"), "several"},
		"two words":                     {s, request("app.example", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "same-origin"), "several"},
		"empty origin":                  {s, request("app.example", "Origin", ""), "does not match"},
		"attack_127_null":               {s, request("app.example", "Origin", "null"), "does not match"},
		"attack_127_referer":            {s, request("app.example", "Referer", "https://evil.example/"), "Referer checking failed"},
		"attack_127_referer_http":       {s, request("app.example", "Referer", "http://app.example/"), "Referer checking failed"},
		"referer without a host":        {s, request("app.example", "Referer", "/x"), "Referer is malformed"},
		"referer no URL":                {s, request("app.example", "Referer", "https://%zz"), "Referer is malformed"},
		"referer of a trusted":          {s, request("app.example", "Referer", "https://front.example:443/x?y"), ""},
		"two referers":                  {s, request("app.example", "Referer", "https://app.example/", "Referer", "https://app.example/"), "Referer is malformed"},
		"long origin is not quoted":     {s, request("app.example", "Origin", "https://"+strings.Repeat("a", 200)), "it does not match"},
		"odd origin is not quoted":      {s, request("app.example", "Origin", "https://a\"\n"), ""},
		"attack_124_upgrade_with_a_GET": {s, upgrade(request("app.example", "Origin", "https://evil.example")), "does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.site.Check(tc.r)
			if name == "odd origin is not quoted" {
				if err == nil || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v", err)
				}
				return
			}
			var e *authn.Error
			if tc.want == "" && err != nil || tc.want != "" && (!errors.As(err, &e) || e.Status != 403 || !strings.HasPrefix(e.Detail, "CSRF Failed: ") || !strings.Contains(e.Detail, tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		r := request("evil.example", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
		r.Method = method
		if err := s.Check(r); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	for _, method := range []string{"PUT", "PATCH", "DELETE", "TRACE", "get", "X"} {
		r := request("app.example", "Origin", "https://evil.example")
		r.Method = method
		if err := s.Check(r); err == nil {
			t.Errorf("%s: passed", method)
		}
	}
}

func upgrade(r *http.Request) *http.Request {
	r.Method = "GET"
	r.Header.Set("Upgrade", "websocket")
	return r
}

func TestSecure(t *testing.T) {
	proxies, err := authn.NewTrustedProxies("10.0.0.0/8")
	must(t, err)
	s, err := New("https://app.example", &Options{Proxies: proxies})
	must(t, err)
	r := request("app.example", "X-Forwarded-Proto", "https")
	r.TLS, r.RemoteAddr = nil, "10.1.2.3:4"
	if err := s.Check(r); err != nil || !s.Secure(r) || s.IsLoopback() {
		t.Errorf("by a named proxy: %v", err)
	}
	r.RemoteAddr = "192.0.2.1:4"
	if err := s.Check(r); err == nil || s.Secure(r) {
		t.Error("a stranger's word for https is believed")
	}
}

func TestLoopback(t *testing.T) {
	s := Loopback()
	local := func(host string, headers ...string) *http.Request {
		r := request(host, headers...)
		r.TLS = nil
		return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080})))
	}
	for name, tc := range map[string]struct {
		r  *http.Request
		ok bool
	}{
		"own":            {local("127.0.0.1:8080", "Origin", "http://127.0.0.1:8080"), true},
		"localhost":      {local("localhost:8080", "Origin", "http://localhost:8080"), true},
		"another port":   {local("localhost:8080", "Origin", "http://localhost:3000"), false},
		"another name":   {local("localhost:8080", "Origin", "http://127.0.0.1:8080"), false},
		"https":          {local("localhost:8080", "Origin", "https://localhost:8080"), false},
		"rebound":        {local("evil.example:8080", "Origin", "http://evil.example:8080"), false},
		"behind a proxy": {local("localhost:8080", "Origin", "http://localhost:8080", "X-Forwarded-For", "192.0.2.1"), false},
		"elsewhere":      {request("localhost:8080", "Origin", "http://localhost:8080"), false},
	} {
		if err := s.Check(tc.r); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	for name, tc := range map[string]struct {
		r  *http.Request
		ok bool
	}{
		"own":         {request("any.example", "Origin", "https://any.example"), true},
		"http":        {plain(request("any.example:80", "Origin", "http://any.example")), true},
		"by a proxy":  {plain(request("any.example", "Origin", "https://any.example")), true},
		"http, other": {plain(request("any.example", "Origin", "http://evil.example")), false},
		"http page":   {request("any.example", "Origin", "http://any.example"), false},
		"other":       {request("any.example", "Origin", "https://evil.example"), false},
		"no browser":  {request("any.example"), true},
		"own referer": {request("any.example", "Referer", "https://any.example/x"), true},
		"referer":     {request("any.example", "Referer", "https://evil.example/x"), false},
	} {
		if err := SameOrigin(tc.r); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func plain(r *http.Request) *http.Request {
	r.TLS = nil
	return r
}
