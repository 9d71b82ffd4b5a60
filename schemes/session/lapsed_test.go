package session_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

// onPages adds a page for people at /page, one that logs in at /in, and one that saves data at
// /save.
func onPages(a *app, scheme authn.Authenticator) {
	m := authn.New(authn.Chain{scheme, explicit{}}, nil)
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("page of " + authn.FromContext(r.Context()).Subject))
	})
	a.mux.Handle("/page", m.Handler(authz.Require(authz.IsAuthenticated).Handler(authn.Page("/login", hello))))
	a.mux.Handle("/open", m.Handler(authn.Page("/login", hello)))
	a.mux.Handle("/in", m.Handler(authn.Page("/login", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		schemetest.Must(a.t, a.x.Start(w, r, authn.Login{Subject: "id-alice", Name: "alice"}))
	}))))
	if a.x == nil {
		return
	}
	store := a.x.Store()
	a.mux.Handle("/save", m.Handler(authn.Page("/login", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := store.Get(r, "session")
		schemetest.Must(a.t, err)
		v.Values["basket"] = "apples"
		schemetest.Must(a.t, v.Save(r, w))
	}))))
}

// cookiesOf lists the names of the cookies that a response sets or deletes; deleted ones begin with
// a minus.
func cookiesOf(h http.Header) string {
	var list []string
	for _, c := range (&http.Response{Header: h}).Cookies() {
		name := c.Name
		if c.MaxAge < 0 {
			name = "-" + name
		}
		list = append(list, name)
	}
	return strings.Join(list, " ")
}

// A page for people treats every expired or revoked session as no session, and no other session.
func TestEndedOnPages(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		a := newApp(t, s, &session.Options{TokenCookie: "csrftoken"})
		onPages(a, a.x)
		for _, name := range []string{"alice", "bob", "carol"} {
			schemetest.Add(t, s, name)
		}
		ends := map[string]func(cookie, name string){
			"logout":          func(cookie, _ string) { a.do("POST", "/logout", "", "Cookie", cookie) },
			"all of the user": func(_, name string) { _, err := a.x.EndAll(t.Context(), "id-"+name, ""); schemetest.Must(t, err) },
			"everywhere": func(_, name string) {
				_, err := storage.LogoutEverywhere(t.Context(), s, "id-"+name)
				schemetest.Must(t, err)
			},
			"idle for too long": func(_, _ string) { a.c.Pass(15 * 24 * time.Hour) },
		}
		const gone = "-__Host-session -csrftoken"
		for what, end := range ends {
			t.Run("edge_B06/"+what, func(t *testing.T) {
				c := a.login("bob")
				if w := a.do("GET", "/page", "", "Cookie", c); w.Code != 200 || w.Body.String() != "page of id-bob" || strings.Contains(cookiesOf(w.Header()), "-") {
					t.Fatalf("%d %s %v", w.Code, w.Body, w.Header())
				}
				end(c, "bob")
				if w := a.do("GET", "/page?x=y", "", "Cookie", c); w.Code != 303 || w.Header().Get("Location") != "/login?next=%2Fpage%3Fx%3Dy" || cookiesOf(w.Header()) != gone {
					t.Errorf("%d %v", w.Code, w.Header())
				}
				if w := a.do("GET", "/open", "", "Cookie", c); w.Code != 200 || w.Body.String() != "page of " || cookiesOf(w.Header()) != gone {
					t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
				}
				if w := a.do("GET", "/", "", "Cookie", c); w.Code != 401 {
					t.Errorf("no page: %d", w.Code)
				}
				if w := a.do("POST", "/open", "", "Cookie", c); w.Code != 303 || cookiesOf(w.Header()) != gone {
					t.Errorf("POST: %d %v", w.Code, w.Header())
				}
				for _, headers := range [][]string{{"Origin", "https://evil.example"}, {"Origin", "", "Sec-Fetch-Site", "cross-site"}, {"Origin", "null", "Sec-Fetch-Site", ""}} {
					if w := a.do("POST", "/open", "", append([]string{"Cookie", c}, headers...)...); w.Code != 403 || cookiesOf(w.Header()) != "" {
						t.Errorf("POST, %q: %d %v", headers, w.Code, w.Header())
					}
				}
				if w := a.do("GET", "/open", "", "Cookie", c, "Authorization", "Bearer junk"); w.Code != 401 || cookiesOf(w.Header()) != "" {
					t.Errorf("a bad Authorization: %d %v", w.Code, w.Header())
				}
				// A response that sets a new session does not delete it.
				if w := a.do("GET", "/in", "", "Cookie", c); w.Code != 200 || cookiesOf(w.Header()) != "__Host-session csrftoken" {
					t.Errorf("a login: %d %v", w.Code, w.Header())
				}
				if w := a.do("GET", "/save", "", "Cookie", c); w.Code != 200 || cookiesOf(w.Header()) != "__Host-session csrftoken" {
					t.Errorf("data: %d %v", w.Code, w.Header())
				}
			})
		}
		t.Run("edge_B06/a disabled account", func(t *testing.T) {
			c := a.login("carol")
			schemetest.Must(t, s.SetActive(t.Context(), "id-carol", false))
			if w := a.do("GET", "/page", "", "Cookie", c); w.Code != 303 || cookiesOf(w.Header()) != gone {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		})
		t.Run("edge_B06/no doubt", func(t *testing.T) {
			c := a.login("alice")
			for name, headers := range map[string][]string{
				"two cookies": {"Cookie", c + "; " + c}, "two spellings": {"Cookie", c + "; __host-session=x"}, "two lines": {"Cookie", c, "Cookie", "__Host-session=x"},
			} {
				for path, want := range map[string]int{"/page": 401, "/open": 401, "/": 401} {
					if w := a.do("GET", path, "", headers...); w.Code != want || cookiesOf(w.Header()) != "" {
						t.Errorf("%s, %s: %d %v", name, path, w.Code, w.Header())
					}
				}
				if w := a.do("POST", "/logout", "", headers...); w.Code != 401 || cookiesOf(w.Header()) != "" {
					t.Errorf("%s, logout: %d %v", name, w.Code, w.Header())
				}
			}
			r := a.request("GET", "/page", "", "Cookie", c)
			r.TLS = nil
			w := httptest.NewRecorder()
			a.mux.ServeHTTP(w, r)
			if w.Code != 401 || cookiesOf(w.Header()) != "" {
				t.Errorf("plain http: %d %v", w.Code, w.Header())
			}
			a.down(true)
			defer a.down(false)
			if w := a.do("GET", "/open", "", "Cookie", c); w.Code != 503 || cookiesOf(w.Header()) != "" {
				t.Errorf("a fault: %d %v", w.Code, w.Header())
			}
		})
		t.Run("edge_B06/it lives", func(t *testing.T) {
			c := a.login("alice")
			if w := a.do("GET", "/page", "", "Cookie", c); w.Code != 200 {
				t.Errorf("%d", w.Code)
			}
			if w := a.do("POST", "/open", "", "Cookie", c, "Origin", "https://evil.example"); w.Code != 403 {
				t.Errorf("%d", w.Code)
			}
		})
	})
}

// A remembered login works on a page as elsewhere. If it has expired too, both cookies are deleted.
func TestRememberOnPages(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := remembering(t, s, session.RememberOptions{Grace: -1})
		onPages(a, a.x)
		b := visit(t, a, "alice")
		old := *b
		a.c.Set(90 * time.Minute)
		t.Run("edge_B06/comes back", func(t *testing.T) {
			if w := b.send("GET", "/page", ""); w.Code != 200 || w.Body.String() != "page of id-alice" || cookiesOf(w.Header()) != "__Host-session __Host-remember" {
				t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
			}
		})
		t.Run("edge_B06/a copy that was used before", func(t *testing.T) {
			if w := old.send("GET", "/page", ""); w.Code != 303 || cookiesOf(w.Header()) != "-__Host-session -__Host-remember" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		})
		t.Run("edge_B06/two of them", func(t *testing.T) {
			x := &browser{a: a, memo: "__Host-remember=junk; __Host-remember=junk"}
			if w := x.send("GET", "/open", ""); w.Code != 401 || cookiesOf(w.Header()) != "" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			if w := x.send("POST", "/logout", ""); w.Code != 401 || cookiesOf(w.Header()) != "" {
				t.Errorf("logout: %d %v", w.Code, w.Header())
			}
		})
		t.Run("edge_B06/a fault", func(t *testing.T) {
			c := visit(t, a, "alice")
			a.c.Set(4 * time.Hour)
			a.down(true)
			defer a.down(false)
			if w := c.send("GET", "/open", ""); w.Code != 503 || cookiesOf(w.Header()) != "" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		})
	})
}

// Sealed sessions behave in the same way on pages.
func TestSealedOnPages(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a, x := newSealed(t, s, s, session.SealedOptions{Options: session.Options{Idle: time.Hour}})
		onPages(a, x)
		c := a.login("alice")
		t.Run("edge_B06/lives", func(t *testing.T) {
			if w := a.do("GET", "/page", "", "Cookie", c); w.Code != 200 {
				t.Errorf("%d", w.Code)
			}
		})
		for what, cookie := range map[string]string{"changed": c[:len(c)-4] + "AAAA", "junk": "__Host-session=junk"} {
			t.Run("edge_B06/"+what, func(t *testing.T) {
				if w := a.do("GET", "/page", "", "Cookie", cookie); w.Code != 303 || cookiesOf(w.Header()) != "-__Host-session" {
					t.Errorf("%d %v", w.Code, w.Header())
				}
			})
		}
		t.Run("edge_B06/two", func(t *testing.T) {
			for _, path := range []string{"/page", "/out"} {
				method := map[string]string{"/page": "GET", "/out": "POST"}[path]
				if w := a.do(method, path, "", "Cookie", c+"; "+c, "Accept", "text/html"); w.Code != 401 || cookiesOf(w.Header()) != "" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
					t.Errorf("%s: %d %v", path, w.Code, w.Header())
				}
			}
		})
		t.Run("edge_B06/everywhere", func(t *testing.T) {
			_, err := storage.LogoutEverywhere(t.Context(), s, "id-alice")
			schemetest.Must(t, err)
			if w := a.do("GET", "/page", "", "Cookie", c); w.Code != 303 || cookiesOf(w.Header()) != "-__Host-session" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			if w := a.do("POST", "/page", "", "Cookie", c, "Origin", "https://evil.example"); w.Code != 403 || cookiesOf(w.Header()) != "" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		})
	})
}

// The login form and the logout button respond with pages.
func TestFormErrorsArePages(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, nil)
		a.mux.Handle("/form", a.x.LoginForm(password{s}, nil)) // without a middleware too
		a.mux.Handle("/out", a.x.LogoutForm("/bye"))
		c := a.login("alice")
		const form = "application/x-www-form-urlencoded"
		for what, x := range map[string]struct {
			status             int
			method, path, body string
			headers            []string
			down               bool
		}{
			"login from another site":  {403, "POST", "/form", "username=alice&password=right", []string{"Content-Type", form, "Origin", "https://evil.example"}, false},
			"login of another method":  {405, "PUT", "/form", "", nil, false},
			"login of another type":    {415, "POST", "/form", "x", []string{"Content-Type", "text/plain"}, false},
			"login, too large":         {413, "POST", "/form", strings.Repeat("a", 65<<10), []string{"Content-Type", form}, false},
			"login, down":              {503, "POST", "/form", "username=alice&password=right", []string{"Content-Type", form}, true},
			"logout from another site": {403, "POST", "/out", "", []string{"Origin", "https://evil.example", "Cookie", c}, false},
			"logout by GET":            {405, "GET", "/out", "", nil, false},
			"logout, two cookies":      {401, "POST", "/out", "", []string{"Cookie", c + "; " + c}, false},
			"logout, down":             {503, "POST", "/out", "", []string{"Cookie", c}, true},
		} {
			t.Run("edge_B06/"+what, func(t *testing.T) {
				a.down(x.down)
				defer a.down(false)
				for accept, kind := range map[string]string{"text/html,*/*;q=0.8": "text/html", "*/*": "application/json"} {
					w := a.do(x.method, x.path, x.body, append([]string{"Accept", accept}, x.headers...)...)
					if w.Code != x.status || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || w.Header().Get("Cache-Control") != "no-store" || cookiesOf(w.Header()) != "" {
						t.Errorf("%s: %d %v %.80s", accept, w.Code, w.Header(), w.Body)
					}
				}
			})
		}
		if got := a.who(c); got != aliceIn {
			t.Errorf("the session: %s", got)
		}
	})
}

// hiding decorates a scheme and has no Unwrap.
type hiding struct{ a authn.Authenticator }

func (h hiding) Authenticate(r *http.Request) (authn.Identity, error) { return h.a.Authenticate(r) }

// A decorator that hides the scheme does not block the owner of an expired session from pages.
func TestEndedBehindADecorator_attack_341(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		a := newApp(t, s, nil)
		onPages(a, hiding{a.x})
		schemetest.Add(t, s, "bob")
		c := a.login("bob")
		if w := a.do("GET", "/page", "", "Cookie", c); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		a.do("POST", "/logout", "", "Cookie", c)
		if w := a.do("GET", "/page", "", "Cookie", c); w.Code != 303 || w.Header().Get("Location") != "/login?next=%2Fpage" || cookiesOf(w.Header()) != "-__Host-session" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		if w := a.do("GET", "/open", "", "Cookie", c, "Authorization", "Bearer junk"); w.Code/100 != 4 || cookiesOf(w.Header()) != "" {
			t.Errorf("a bad Authorization: %d %v", w.Code, w.Header())
		}
		if w := a.do("POST", "/open", "", "Cookie", c, "Origin", "https://evil.example"); w.Code != 403 || cookiesOf(w.Header()) != "" {
			t.Errorf("another site: %d %v", w.Code, w.Header())
		}
		if w := a.do("GET", "/open", "", "Cookie", c+"; "+c); w.Code/100 != 4 || cookiesOf(w.Header()) != "" {
			t.Errorf("two cookies: %d %v", w.Code, w.Header())
		}
	})
}
