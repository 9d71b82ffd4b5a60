package cached_test

import (
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// The account in the identity answers HasPerm as the one of UserFrom does.
func Test_edge_C20_kept(t *testing.T) {
	w := newTwo(t, true)
	m := authn.New(w.chain, nil)
	for scheme, headers := range w.headers {
		for range 3 { // until it is kept
			w.do(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				own, _ := authn.UserFrom[*storage.Account](r.Context())
				want, err := own.HasPerm(r.Context(), "notes.view_note")
				must(t, err)
				u, ok := authn.FromContext(r.Context()).User.(*storage.Account)
				if !ok {
					t.Fatalf("%s: no account", scheme)
				}
				if got, err := u.HasPerm(r.Context(), "notes.view_note"); err != nil || got != want {
					t.Errorf("%s: %t, want %t: %v", scheme, got, want, err)
				}
				if u.ID != own.ID || u.Name != own.Name {
					t.Errorf("%s: %+v and %+v", scheme, u, own)
				}
			})), headers["alice"])
		}
	}
}
