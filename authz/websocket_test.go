package authz_test

import (
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// One can write over a WebSocket, which begins with a GET, so ReadOnly lets nobody open one.
func TestWebSocketIsNoRead_attack_323(t *testing.T) {
	for _, h := range [][2]string{{"Upgrade", "websocket"}, {"Sec-Websocket-Key", "x"}, {"Sec-Websocket-Version", "13"}, {"Sec-Fetch-Mode", "WebSocket"}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(h[0], h[1])
		for _, p := range []authz.Permission{authz.ReadOnly, authz.IsAuthenticatedOrReadOnly} {
			if d, err := p.Decide(authz.Access{Request: r}); d != authz.Deny {
				t.Errorf("%s: %v lets an anonymous one in: %v, %v", h[0], p, d, err)
			}
		}
		if d, err := authz.IsAuthenticatedOrReadOnly.Decide(authz.Access{Request: r, Identity: authn.Identity{Subject: "1"}}); d != authz.Allow || err != nil {
			t.Errorf("%s: authenticated: %v, %v", h[0], d, err)
		}
	}
}
