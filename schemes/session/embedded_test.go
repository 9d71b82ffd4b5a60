package session_test

import (
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
)

// A page of another site that embeds URLs of this site creates no rows.
func TestEmbedded(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		a := newApp(t, s, nil)
		st := a.x.Store()
		visit := func(site, dest string) (cookies int) {
			w := a.visit("GET", "", func(w http.ResponseWriter, r *http.Request) {
				v := own(t, st, r)
				v.Values["foo"] = "bar"
				schemetest.Must(t, v.Save(r, w))
			}, "Sec-Fetch-Site", site, "Sec-Fetch-Dest", dest)
			return len(w.Result().Cookies())
		}
		for _, dest := range []string{"image", "iframe", "script", "empty", ""} {
			t.Run("attack_296_"+dest, func(t *testing.T) {
				before := a.writes()
				for range 10 {
					visit("cross-site", dest)
				}
				if n := a.writes() - before; n != 0 {
					t.Errorf("%d rows", n)
				}
			})
		}
		for _, site := range []string{"same-origin", "same-site", "none", ""} {
			if before := a.writes(); visit(site, "image") != 1 || a.writes() != before+1 {
				t.Errorf("%q: no session", site)
			}
		}
		if before := a.writes(); visit("cross-site", "document") != 1 || a.writes() != before+1 {
			t.Error("a link on another site: no session")
		}
	})
}
