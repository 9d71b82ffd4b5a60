package storetest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// A database that does not accept connections is a dependency that fails.
func TestDatabaseAcceptsNoConnections(t *testing.T) {
	at := pgtest.URL(t)
	s, err := postgres.Open(at, nil)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	must(t, s.Ping(t.Context()))
	other, err := postgres.Open(pgtest.URL(t), nil)
	must(t, err)
	t.Cleanup(func() { _ = other.Close() })
	u, err := url.Parse(at)
	must(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	run := func(sql string, args ...any) {
		t.Helper()
		must(t, other.DB(t.Context()).Exec(sql, args...).Error)
	}
	run(`ALTER DATABASE "` + name + `" ALLOW_CONNECTIONS false`)
	run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ?", name)
	health := authn.New(authn.Chain{}, &authn.Options{Logger: schemetest.Quiet}).Public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.Ping(r.Context()); err != nil {
			authn.Respond(w, r, err)
		}
	}))
	for range 3 { // the first ones may be answered by a connection that was terminated
		err = s.Ping(t.Context())
		w := httptest.NewRecorder()
		if health.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil)); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v", w.Code, err)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "55000") {
		t.Errorf("connected with %v", err)
	}
}
