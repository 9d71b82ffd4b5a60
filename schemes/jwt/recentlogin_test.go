package jwt_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A token that a refresh returned is no recent login. The client is told how its user must log in again.
func TestRefreshIsNoRecentLogin(t *testing.T) {
	now := start().Now()
	clock := func() time.Time { return now }
	s := memory.New(&memory.Options{Clock: clock})
	schemetest.Add(t, s, "alice")
	x, err := jwt.New(issuer, audience, ringOf(t, "ES256"), s, &jwt.Options{Clock: clock, Logger: schemetest.Quiet})
	schemetest.Must(t, err)
	m := authn.New(authn.Chain{x}, &authn.Options{Clock: clock, Logger: schemetest.Quiet})
	h := m.Handler(authz.Require(authz.Fresh(time.Minute)).HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	is := func(what, token string, status int, challenge string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, bearer(token))
		if got := w.Header().Get("WWW-Authenticate"); w.Code != status || got != challenge {
			t.Errorf("%s: %d %q", what, w.Code, got)
		}
	}
	pair, err := x.Issue(t.Context(), "id-alice", 0, nil)
	schemetest.Must(t, err)
	is("after the login", pair.Access, 204, "")
	const again = `Bearer error="insufficient_user_authentication", max_age="60"`
	now = now.Add(61 * time.Second)
	is("later", pair.Access, 401, again)
	next, _, err := x.Refresh(t.Context(), pair.Refresh)
	schemetest.Must(t, err)
	is("after a refresh", next.Access, 401, again)
	pair, err = x.Issue(t.Context(), "id-alice", 0, nil)
	schemetest.Must(t, err)
	is("after the second login", pair.Access, 204, "")
}
