package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// A client that the gateway accepts once cannot turn the connection into a tunnel to the
// application, whose server would accept any protocol. WebSockets still work.
func TestGatewayTunnel(t *testing.T) {
	for _, gateway := range []string{"nginx", "caddy"} {
		t.Run("attack_444/"+gateway, func(t *testing.T) {
			var upgrades atomic.Int32
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") == "" {
					_, _ = io.WriteString(w, "no upgrade")
					return
				}
				upgrades.Add(1)
				w.Header().Set("Connection", "Upgrade")
				w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
				w.WriteHeader(http.StatusSwitchingProtocols)
			}))
			t.Cleanup(app.Close)
			token, server := scopedServer(t, gateway)
			c := client{t, startGateway(t, gateway, server, app.Listener.Addr().String())}
			good := "Authorization: Knox " + token
			for _, headers := range [][]string{
				{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
				{"Connection: Upgrade", "Upgrade: h2c"}, {"Connection: Upgrade", "Upgrade: websocket, h2c"}, {"Connection: upgrade", "Upgrade: foo"},
			} {
				resp, body := c.do("GET", "/a", "", append(headers, good)...)
				if resp.StatusCode == http.StatusSwitchingProtocols || upgrades.Load() != 0 || gateway == "caddy" && resp.StatusCode != http.StatusForbidden {
					t.Errorf("%q: %d %s, %d upgrades at the application", headers, resp.StatusCode, body, upgrades.Swap(0))
				}
			}
			if gateway != "caddy" { // the guide's nginx forwards no upgrade
				return
			}
			resp, body := c.do("GET", "/a", "", good, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
			if resp.StatusCode != http.StatusSwitchingProtocols || upgrades.Load() != 1 {
				t.Errorf("a WebSocket: %d %s", resp.StatusCode, body)
			}
		})
	}
}
