package authz_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// A caller of an open route cannot make a reverse proxy open a tunnel to the closed ones. Clients that
// offer h2c on every connection, such as Java's, get their answer all the same.
func TestUpgrade_attack_453(t *testing.T) {
	seen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Seen", strings.Join(append(r.Header["Upgrade"], r.Header["Http2-Settings"]...), "|"))
	})
	mux := func(h http.Handler) http.Handler {
		m := authz.NewMux(authn.New(authn.Chain{}, nil))
		m.Handle("/", h, authz.AllowAny)
		return m
	}
	for name, serve := range map[string]func(http.Handler) http.Handler{"Mux": mux, "RequirePlainPath": authz.RequirePlainPath,
		"Mux, any path": func(h http.Handler) http.Handler { return mux(authz.InsecureAllowAnyPath(h)) }} {
		for _, tc := range []struct {
			upgrade  []string
			settings string
			want     string
		}{
			{nil, "", ""},
			{[]string{"websocket"}, "", "websocket"},
			{[]string{"WebSocket"}, "", "WebSocket"},
			{[]string{"h2c"}, "AAMAAABkAAQCAAAAAAIAAAAA", ""},
			{[]string{"h2c"}, "", ""},
			{nil, "AAMAAABk", ""},
			{[]string{"websocket, h2c"}, "", ""},
			{[]string{"websocket", "h2c"}, "", ""},
			{[]string{"websocket"}, "AAMAAABk", ""},
			{[]string{"TLS/1.0"}, "", ""},
			{[]string{""}, "", ""},
		} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Upgrade"] = tc.upgrade
			if tc.settings != "" {
				r.Header.Set("HTTP2-Settings", tc.settings)
			}
			rec := httptest.NewRecorder()
			serve(seen).ServeHTTP(rec, r)
			if got := rec.Header().Get("Seen"); rec.Code != 200 || got != tc.want {
				t.Errorf("%s: Upgrade %q, settings %q: %d, the handler sees %q, want %q", name, tc.upgrade, tc.settings, rec.Code, got, tc.want)
			}
			rec = httptest.NewRecorder()
			serve(authz.InsecureAllowUpgrade(seen)).ServeHTTP(rec, r)
			if got, want := rec.Header().Get("Seen"), strings.Join(append(tc.upgrade, r.Header["Http2-Settings"]...), "|"); got != want {
				t.Errorf("%s, InsecureAllowUpgrade: the handler sees %q, want %q (its request was changed)", name, got, want)
			}
		}
	}
}

func TestUpgradeIsListed(t *testing.T) {
	m := authz.NewMux(authn.New(authn.Chain{}, nil))
	m.Handle("/tunnel", authz.InsecureAllowUpgrade(http.NotFoundHandler()), authz.IsAuthenticated)
	var table strings.Builder
	routes := m.Routes()
	if err := authz.WriteRoutes(&table, routes); err != nil || len(routes) != 1 || !routes[0].AnyUpgrade || !strings.Contains(table.String(), "any upgrade") {
		t.Errorf("%+v, %v\n%s", routes, err, table.String())
	}
}
