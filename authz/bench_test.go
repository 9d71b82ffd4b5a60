package authz_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// BenchmarkMux measures a request through a mux: matching, the path check, a scheme without cost,
// and a guard.
func BenchmarkMux(b *testing.B) {
	m := quietMux(alice)
	m.HandleFunc("GET /api/notes/{id}", func(http.ResponseWriter, *http.Request) {}, authz.IsAuthenticated, authz.HasScope("notes:read"))
	r, w := httptest.NewRequest("GET", "/api/notes/12345", nil), httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		m.ServeHTTP(w, r)
	}
}

// BenchmarkPermission measures a guard around a permission of another package, which may panic.
func BenchmarkPermission(b *testing.B) {
	g := authz.Require(authz.IsAuthenticated, authz.If(func(id authn.Identity) bool { return id.Subject != "" }))
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(authn.WithIdentity(r.Context(), alice))
	b.ReportAllocs()
	for b.Loop() {
		if g.Check(r) != nil {
			b.Fatal("refused")
		}
	}
}
