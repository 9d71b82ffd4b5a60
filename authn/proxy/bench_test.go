package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/proxy"
	"github.com/vestibule-auth/vestibule/authz"
)

// BenchmarkForwardAuth measures an accepted sub-request, and the same chain and guard without a
// gateway ("floor").
func BenchmarkForwardAuth(b *testing.B) {
	accepted := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	for name, h := range map[string]http.Handler{
		"floor": authn.New(authn.Chain{bearer{}, careless{}}, nil).Handler(authz.Require(authz.IsAuthenticated).Handler(accepted)),
		"nginx": newWorld(b, config{dialect: proxy.Nginx}).handler,
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/forward-auth", nil)
			r.RemoteAddr = gateway
			for _, line := range nginx("POST", "/notes/7?x=y", "Authorization: Bearer alice", "Accept: */*", "User-Agent: x", "Origin: https://app.example", "Cookie: a=b") {
				key, value, _ := strings.Cut(line, ": ")
				r.Header.Set(key, value)
			}
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != 204 {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
