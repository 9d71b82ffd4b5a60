package session_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// visitorCart is the code of docs/session.md.
func visitorCart(mux *authz.Mux, site *csrf.Site, browsers *session.Scheme) {
	// #region visitors
	carts := browsers.Store()
	mux.HandleFunc("POST /cart", func(w http.ResponseWriter, r *http.Request) {
		if err := site.Check(r); err != nil { // another site's form could replace the visitor's session
			authn.Respond(w, r, err)
			return
		}
		cart, err := carts.Get(r, "cart") // the cookie __Host-cart
		if err == nil {
			cart.Values["item"] = r.PostFormValue("item")
			err = cart.Save(r, w)
		}
		if err != nil {
			authn.Respond(w, r, err) // 403, 429, 503
			return
		}
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
	}, authz.AllowAny)
	// #endregion visitors
}

// The guide's code for visitors: what it accepts, and what a form of another site cannot do.
func TestVisitorsOfTheGuide(t *testing.T) {
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	browsers, err := session.New(memory.New(nil), site, nil)
	schemetest.Must(t, err)
	mux := authz.NewMux(authn.New(authn.Chain{browsers}, nil))
	visitorCart(mux, site, browsers)
	post := func(kind, body, cookie string, headers ...string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("POST", "https://app.example/cart", strings.NewReader(body)), httptest.NewRecorder()
		r.Header.Set("Content-Type", kind)
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		mux.ServeHTTP(w, r)
		return w
	}
	const form, ours = "application/x-www-form-urlencoded", "Origin: https://app.example"
	first := post(form, "item=1", "", ours, "Sec-Fetch-Site: same-origin")
	cart := cookiePair(first, "__Host-cart")
	if first.Code != 303 || cart == "" {
		t.Fatalf("a visitor's form: %d %v", first.Code, first.Header())
	}
	for name, c := range map[string]struct {
		w    *httptest.ResponseRecorder
		want int
	}{
		"again, without a token":        {post(form, "item=2", cart, ours), 303},
		"another site's, with a cookie": {post(form, "item=2", cart, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"), 403},
		"another site's, without one":   {post(form, "item=2", "", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: document"), 403},
		"a program's form":              {post(form, "item=2", cart), 403},
		"a program's JSON":              {post("application/json", `{}`, cart), 303},
	} {
		if c.w.Code != c.want || c.want == 403 && len(c.w.Result().Cookies()) > 0 {
			t.Errorf("%s: %d %v, want %d", name, c.w.Code, c.w.Header(), c.want)
		}
	}
}
