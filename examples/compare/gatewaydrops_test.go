package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/proxy"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A client cannot make the gateway drop an identity header. The token has scopes, so that the
// application would take its bearer for the user without limits.
func TestGatewayDropsNothing(t *testing.T) {
	for _, gateway := range []string{"nginx", "caddy"} {
		t.Run("attack_420/"+gateway, func(t *testing.T) {
			token, server := scopedServer(t, gateway)
			addr := startGateway(t, gateway, server, application(t).Listener.Addr().String())
			want := map[string]string{"X-Auth-User": "alice", "X-Auth-Scheme": "knox", "X-Auth-Scopes": "notes:read"}
			for _, drop := range []string{"close", "X-Auth-User", "X-Auth-Scheme", "x-auth-scopes", "X-Auth-Scopes, X-Auth-Scheme", "keep-alive, X-Auth-Scopes"} {
				resp, body := (client{t, addr}).do("GET", "/a", "", "Authorization: Knox "+token, "Connection: "+drop)
				if resp.StatusCode != 200 {
					t.Errorf("Connection: %s: %d %s", drop, resp.StatusCode, body)
					continue
				}
				m := told(t, body)
				for name, value := range want {
					if m[name] != value {
						t.Errorf("Connection: %s: the application was told %s: %q, want %q", drop, name, m[name], value)
					}
				}
			}
		})
	}
}

// scopedServer serves /forward-auth for a token that is limited to one scope.
func scopedServer(t *testing.T, gateway string) (token, addr string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db := memory.New(nil)
	must(db.CreateUser(t.Context(), storage.User{ID: "alice", Name: "alice", Active: true}))
	devices, err := knox.New(db, nil)
	must(err)
	text, _, err := devices.Issue(t.Context(), "alice", 0, knox.Token{Scopes: []string{"notes:read"}})
	must(err)
	proxies, err := authn.NewTrustedProxies("127.0.0.1")
	must(err)
	site, err := csrf.New("https://app.example", &csrf.Options{Proxies: proxies})
	must(err)
	dialect, err := proxy.ParseDialect(gateway)
	must(err)
	guard := authz.Require(authz.IsAuthenticated, authz.HasScope("notes:read"))
	forward, err := proxy.NewForwardAuth(dialect, proxies, site, authn.New(authn.Chain{devices}, nil), guard, nil)
	must(err)
	mux := http.NewServeMux()
	mux.Handle("/forward-auth", forward)
	mux.Handle("/forward-auth/", forward)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return string(text), s.Listener.Addr().String()
}
