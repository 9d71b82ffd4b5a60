package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Save applies a session's Options, or returns an error and saves nothing.
func TestOptions(t *testing.T) {
	const own, other = "session", "cart"
	for name, x := range map[string]struct {
		session string
		opts    sessions.Options
		cookie  string // what the cookie's line has
		field   string // of the error
	}{
		"MaxAge and SameSite":        {other, sessions.Options{Path: "/", MaxAge: 60, SameSite: http.SameSiteStrictMode}, "; Max-Age=60; HttpOnly; Secure; SameSite=Strict", ""},
		"MaxAge alone":               {other, sessions.Options{MaxAge: 60}, "; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax", ""},
		"until the browser closes":   {other, sessions.Options{}, "; Path=/; HttpOnly; Secure; SameSite=Lax", ""},
		"MaxAge of a second":         {other, sessions.Options{MaxAge: 1}, "; Max-Age=1;", ""},
		"MaxAge too long":            {other, sessions.Options{MaxAge: 7201}, "", "MaxAge"},
		"MaxAge beyond a duration":   {other, sessions.Options{MaxAge: 1 << 40}, "", "MaxAge"},
		"Secure off":                 {other, sessions.Options{MaxAge: 7200, Secure: false}, "; Secure;", ""},
		"HttpOnly off":               {other, sessions.Options{MaxAge: 7200, HttpOnly: false}, "; HttpOnly;", ""},
		"SameSite None":              {other, sessions.Options{MaxAge: 7200, SameSite: http.SameSiteNoneMode}, "", "SameSite"},
		"SameSite default":           {other, sessions.Options{MaxAge: 7200, SameSite: http.SameSiteDefaultMode}, "; SameSite=Lax", ""},
		"Domain":                     {other, sessions.Options{MaxAge: 7200, Domain: "example.com"}, "", "Domain"},
		"Path":                       {other, sessions.Options{MaxAge: 7200, Path: "/shop"}, "", "Path"},
		"Partitioned":                {other, sessions.Options{MaxAge: 7200, Partitioned: true}, "", "Partitioned"},
		"own, as the scheme":         {own, sessions.Options{MaxAge: 7200, Path: "/"}, "; Max-Age=7200; HttpOnly; Secure; SameSite=Lax", ""},
		"own, MaxAge":                {own, sessions.Options{MaxAge: 60}, "", "MaxAge"},
		"own, until browser closes":  {own, sessions.Options{}, "", "MaxAge"},
		"own, SameSite":              {own, sessions.Options{MaxAge: 7200, SameSite: http.SameSiteStrictMode}, "", "SameSite"},
		"own, Path":                  {own, sessions.Options{MaxAge: 7200, Path: "/x"}, "", "Path"},
		"own, Domain and Secure off": {own, sessions.Options{MaxAge: 7200, Domain: "x"}, "", "Domain"},
	} {
		both(t, "edge_B15/"+name, func(t *testing.T, a *app, st sessions.Store) {
			var err error
			w := serve(a, "", func(w http.ResponseWriter, r *http.Request) {
				v, _ := st.Get(r, x.session)
				v.Options = &x.opts
				v.Values["n"] = 1
				err = v.Save(r, w)
			})
			line := strings.Join(w.Header()["Set-Cookie"], " ")
			refused := (*session.OptionsError)(nil)
			if x.field == "" {
				if err != nil || !strings.Contains(line, x.cookie) {
					t.Errorf("%v, %q, want %q", err, line, x.cookie)
				}
			} else if !errors.As(err, &refused) || refused.Field != x.field || line != "" {
				t.Errorf("%v, cookie %q, want an error of %s", err, line, x.field)
			}
		})
	}
}

// A shorter MaxAge also shortens the session on the server, so a copy of the cookie becomes
// invalid.
func TestMaxAgeHolds(t *testing.T) {
	both(t, "edge_B15", func(t *testing.T, a *app, st sessions.Store) {
		var n any
		visit := func(of string, maxAge int) string {
			return cart(serve(a, of, func(w http.ResponseWriter, r *http.Request) {
				v, err := st.Get(r, "cart")
				schemetest.Must(t, err)
				n = v.Values["n"]
				if maxAge != 0 {
					v.Options.MaxAge = maxAge
					v.Values["n"] = 1
				}
				schemetest.Must(t, v.Save(r, w))
			}))
		}
		mine := visit("", 60)
		a.c.Set(59 * time.Second)
		if visit(mine, 0); n != 1 {
			t.Errorf("before its end: %v", n)
		}
		a.c.Set(0)
		mine = visit("", 60)
		a.c.Set(60 * time.Second)
		if visit(mine, 0); n != nil {
			t.Errorf("a copy lives after MaxAge: %v", n)
		}
	})
}

// cart returns the cookie of the session "cart" of an answer as a request carries it.
func cart(w *httptest.ResponseRecorder) string {
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-cart" {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// serve sends a GET with that cookie to h, without authentication.
func serve(a *app, cookie string, h http.HandlerFunc) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h(w, a.request("GET", "/", "", "Cookie", cookie))
	return w
}

// both runs f for a scheme with rows and for a sealed one.
func both(t *testing.T, name string, f func(*testing.T, *app, sessions.Store)) {
	t.Run(name+"/rows", func(t *testing.T) {
		a := newApp(t, memory.New(nil), &session.Options{Idle: 2 * time.Hour})
		f(t, a, a.x.Store())
	})
	t.Run(name+"/sealed", func(t *testing.T) {
		s := memory.New(nil)
		a, x := newSealed(t, nil, s, session.SealedOptions{Options: session.Options{Idle: 2 * time.Hour}})
		f(t, a, x.Store())
	})
}
