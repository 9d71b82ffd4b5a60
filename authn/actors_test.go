package authn_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// An identity with actors is scope-limited, also if its scheme forgot the client and the scopes. The
// list that a caller gets, and the one that a scheme gave, are not the identity's own.
func TestActors(t *testing.T) {
	given := []string{"agent", "api"}
	id := authn.Identity{Subject: "1", Roles: []string{"admin"}}
	if id.Delegated() || id.Actors() != nil {
		t.Errorf("without actors: %+v", id)
	}
	id.SetActors(given)
	given[0] = "changed"
	id.Actors()[0] = "changed"
	if got := id.Clone().Actors(); !slices.Equal(got, []string{"agent", "api"}) || !id.Delegated() {
		t.Errorf("%q, delegated %t", got, id.Delegated())
	}
	h := authn.New(authn.Func(func(*http.Request) (authn.Identity, error) { return id, nil }), nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for range 2 {
			got := authn.FromContext(r.Context())
			if !slices.Equal(got.Actors(), []string{"agent", "api"}) || got.Scopes == nil || !got.Delegated() {
				t.Errorf("in a request: %q, scopes %#v", got.Actors(), got.Scopes)
			}
			got.SetActors(nil)
			if got.Actors() != nil {
				t.Error("not removed")
			}
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}
