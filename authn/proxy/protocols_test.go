package proxy_test

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/proxy"
)

// headersOf returns what each gateway sends for GET /a.
func headersOf(d proxy.Dialect, host string, more ...string) (target string, headers []string) {
	switch d {
	case proxy.Nginx:
		return "/forward-auth", set(nginx("GET", "/a", more...), "X-Original-Host: "+host)
	case proxy.Envoy:
		return "/forward-auth/a", append([]string{"Host: " + host, "X-Forwarded-Proto: https"}, more...)
	default:
		return "/forward-auth", set(traefik("GET", "/a", more...), "X-Forwarded-Host: "+host)
	}
}

// A request that would become a tunnel past the gateway is refused for everybody, in every dialect.
func TestOtherProtocols(t *testing.T) {
	for _, d := range []proxy.Dialect{proxy.Nginx, proxy.Traefik, proxy.Caddy, proxy.Envoy} {
		t.Run("attack_444_"+d.String(), func(t *testing.T) {
			w := newWorld(t, config{dialect: d})
			for _, tc := range []struct {
				headers string
				good    bool
			}{
				{"", true}, {"Upgrade: websocket", true}, {"Upgrade: WebSocket", true},
				{"Upgrade: h2c", false}, {"Upgrade: H2C", false}, {"Upgrade: websocket, h2c", false}, {"Upgrade: h2c, websocket", false},
				{"Upgrade: websocket|Upgrade: h2c", false}, {"Upgrade: TLS/1.0", false}, {"Upgrade: ", false}, {"Upgrade: websocket/13", false},
				{"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", false}, {"Upgrade: websocket|HTTP2-Settings: AAMAAABk", false},
			} {
				more := []string{"Authorization: Bearer alice"}
				if tc.headers != "" {
					more = append(more, strings.Split(tc.headers, "|")...)
				}
				target, headers := headersOf(d, "app.example", more...)
				rec := w.ask(gateway, "GET", target, headers...)
				switch {
				case tc.good && rec.Code > 204:
					t.Errorf("%s: %s", tc.headers, answer(rec))
				case !tc.good && (rec.Code != 403 || !strings.Contains(w.log.String(), "a protocol other than websocket") || w.seen != nil):
					t.Errorf("%s: %s, %s", tc.headers, answer(rec), w.log.String())
				}
			}
		})
	}
}

// Permissions get one form of the host, whatever the client typed.
func TestOneHost(t *testing.T) {
	proxies, err := authn.NewTrustedProxies("10.0.0.1")
	must(t, err)
	site, err := csrf.New(origin, &csrf.Options{Proxies: proxies, Hosts: []string{"Admin.example"}})
	must(t, err)
	for _, d := range []proxy.Dialect{proxy.Nginx, proxy.Traefik, proxy.Caddy, proxy.Envoy} {
		t.Run("attack_445_"+d.String(), func(t *testing.T) {
			w := newWorld(t, config{dialect: d, site: site})
			for _, host := range []string{"admin.example", "ADMIN.example", "Admin.Example:443", "admin.example:443"} {
				target, headers := headersOf(d, host, "Authorization: Bearer alice")
				if rec := w.ask(gateway, "GET", target, headers...); rec.Code > 204 || w.seen == nil || w.seen.Host != "admin.example" {
					t.Errorf("%s: %s, the permission sees %+v", host, answer(rec), w.seen)
				}
			}
			for _, host := range []string{"admin.example.", "admin.example:80", "admin.example:0443", "x@admin.example", "other.example", " admin.example"} {
				target, headers := headersOf(d, host, "Authorization: Bearer alice")
				if rec := w.ask(gateway, "GET", target, headers...); rec.Code != 403 || w.seen != nil {
					t.Errorf("%q: %s", host, answer(rec))
				}
			}
		})
	}
	if host, ok := csrf.Loopback().CanonicalHost("LocalHost:80"); host != "localhost" || !ok {
		t.Errorf("%q, %t", host, ok)
	}
}
