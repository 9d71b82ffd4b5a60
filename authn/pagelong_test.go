package authn_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// The Location of a redirect stays short: a URL of more than 8 KiB is not passed to the login page.
func TestPageOfALongAddress_attack_344(t *testing.T) {
	h := authn.New(authn.Chain{cookies{"sid"}}, &authn.Options{Logger: quiet}).Handler(authn.Page("/login", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authn.Respond(w, r, authn.NotAuthenticated())
	})))
	for name, x := range map[string]struct{ target, want string }{
		"short":        {"/a?b=c", "/login?next=%2Fa%3Fb%3Dc"},
		"a long path":  {"/" + strings.Repeat("%c3%a9", 100_000), "/login"},
		"a long query": {"/a?b=" + strings.Repeat("%41", 10_000), "/login"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", x.target, nil)
			r.Header.Set("Accept", "text/html")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != x.want {
				t.Errorf("%d, a Location of %d bytes, want %q", w.Code, len(got), x.want)
			}
		})
	}
}
