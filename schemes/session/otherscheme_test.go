package session_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// cookiePair returns the response's cookie of that name as a browser sends it back, or "".
func cookiePair(w *httptest.ResponseRecorder, name string) string {
	for _, c := range w.Result().Cookies() {
		if c.Name == name && c.Value != "" {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// through sends a GET with cookies through a middleware with the chain to h.
func through(t *testing.T, chain authn.Chain, h http.HandlerFunc, cookies ...string) *httptest.ResponseRecorder {
	t.Helper()
	r, w := httptest.NewRequest("GET", "https://app.example/", nil), httptest.NewRecorder()
	r.Header.Set("Cookie", strings.Join(cookies, "; "))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	authn.New(chain, nil).Handler(h).ServeHTTP(w, r)
	return w
}

func whoami(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, authn.FromContext(r.Context()).Subject)
}

// begin logs in and returns the cookie of that name.
func begin(t *testing.T, start func(http.ResponseWriter, *http.Request, authn.Login) error, subject, cookie string) string {
	t.Helper()
	r, w := httptest.NewRequest("POST", "https://app.example/login", nil), httptest.NewRecorder()
	schemetest.Must(t, start(w, r, authn.Login{Subject: subject, Roles: []string{"admin"}}))
	pair := cookiePair(w, cookie)
	if pair == "" {
		t.Fatalf("no cookie %s", cookie)
	}
	return pair
}

func TestSealedStoreOfAnotherScheme(t *testing.T) {
	ring, err := keys.NewRing(bytes.Repeat([]byte("0123456789abcdef"), 2))
	schemetest.Must(t, err)
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	for _, c := range []struct{ name, shop, staff string }{{"attack_353 no space", "", ""}, {"attack_353 spaces", "customers", "staff"}} {
		t.Run(c.name, func(t *testing.T) {
			shop, err := session.NewSealed(ring, site, &session.SealedOptions{Options: session.Options{Cookie: "shop"}, Space: c.shop})
			schemetest.Must(t, err)
			staff, err := session.NewSealed(ring, site, &session.SealedOptions{Options: session.Options{Cookie: "staff"}, Space: c.staff})
			schemetest.Must(t, err)
			mine := begin(t, shop.Start, storage.SubjectIn(c.shop, "1"), "__Host-shop")
			page := through(t, authn.Chain{staff, shop}, func(_ http.ResponseWriter, r *http.Request) {
				w := httptest.NewRecorder()
				v, err := staff.Store().Get(r, "staff")
				schemetest.Must(t, err)
				v.Values["lang"] = "en"
				schemetest.Must(t, staff.Store().Save(r, w, v))
				if pair := cookiePair(w, "__Host-staff"); pair == "" {
					t.Error("the staff session was not saved")
				} else if got := through(t, authn.Chain{staff}, whoami, pair); got.Body.String() != "" {
					t.Errorf("a customer's session became one of staff: %q", got.Body)
				}
			}, mine)
			if page.Code != 200 {
				t.Errorf("%d", page.Code)
			}
		})
	}
}

func TestStoreOfAnotherScheme(t *testing.T) { t.Run("attack_354", storeOfAnotherScheme) }

func storeOfAnotherScheme(t *testing.T) {
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	db := memory.New(nil)
	schemetest.Must(t, db.CreateUser(t.Context(), storage.User{ID: "1", Name: "mallory", Active: true}))
	shop, err := session.New(db, site, &session.Options{Cookie: "shop"})
	schemetest.Must(t, err)
	staff, err := session.New(db, site, &session.Options{Cookie: "staff"})
	schemetest.Must(t, err)
	mine := begin(t, shop.Start, "1", "__Host-shop")
	set := through(t, authn.Chain{shop}, func(w http.ResponseWriter, r *http.Request) {
		v, err := shop.Store().Get(r, "shop")
		schemetest.Must(t, err)
		v.Values["second_factor"] = "yes"
		schemetest.Must(t, shop.Store().Save(r, w, v))
	}, mine)
	if set.Code != 200 {
		t.Fatal(set.Code)
	}
	for range 2 { // the second time the identity is a kept one
		through(t, authn.Chain{shop, staff}, func(_ http.ResponseWriter, r *http.Request) {
			own, err := shop.Store().Get(r, "shop")
			schemetest.Must(t, err)
			other, err := staff.Store().Get(r, "staff")
			schemetest.Must(t, err)
			if own.Values["second_factor"] != "yes" || len(other.Values) != 0 {
				t.Errorf("shop %v, staff %v", own.Values, other.Values)
			}
			err = staff.Keep(httptest.NewRecorder(), r, func() (authn.Login, error) {
				t.Error("Keep takes the session of another scheme for its own")
				return authn.Login{Subject: "1"}, nil
			})
			if err == nil {
				t.Error("Keep without a session of the scheme: no error")
			}
		}, mine)
	}
}

func TestRememberOfAnotherScheme(t *testing.T) {
	t.Run("attack_355", func(t *testing.T) {
		site, err := csrf.New("https://app.example", nil)
		schemetest.Must(t, err)
		db := memory.New(nil)
		schemetest.Must(t, db.CreateUser(t.Context(), storage.User{ID: "1", Name: "boss", Active: true}))
		scheme := func(cookie, second string) *session.Scheme {
			s, err := session.New(db, site, &session.Options{Cookie: cookie, Idle: time.Hour, Remember: &session.RememberOptions{Cookie: second}})
			schemetest.Must(t, err)
			return s
		}
		for _, second := range []string{"", "kept"} {
			name := second
			if name == "" {
				name = "web-remember"
			}
			kept := begin(t, scheme("web", second).StartRemembered, "1", "__Host-"+name)
			if got := through(t, authn.Chain{scheme("web", second)}, whoami, kept); got.Body.String() != "1" {
				t.Errorf("%s: not remembered by its own scheme: %d %s", name, got.Code, got.Body)
			}
			kept = begin(t, scheme("web", second).StartRemembered, "1", "__Host-"+name)
			if got := through(t, authn.Chain{scheme("admin", name)}, whoami, kept); got.Body.String() == "1" {
				t.Errorf("%s: a login at the one scheme began a session of the other", name)
			}
		}
	})
}

// Schemes with the same store list the same sessions of an account, so each can delete all of them
// permanently.
func TestEndAtAnotherScheme(t *testing.T) {
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	for _, remembers := range []bool{true, false} {
		for name, end := range map[string]func(*session.Scheme, string) error{
			"attack_383 all": func(s *session.Scheme, _ string) error { _, err := s.EndAll(t.Context(), "1", ""); return err },
			"attack_383 one": func(s *session.Scheme, id string) error { return s.EndOne(t.Context(), "1", id) },
		} {
			t.Run(fmt.Sprintf("%s, the ending one remembers too: %t", name, remembers), func(t *testing.T) {
				db := memory.New(nil)
				schemetest.Must(t, db.CreateUser(t.Context(), storage.User{ID: "1", Name: "boss", Active: true}))
				o := &session.Options{Cookie: "web", Idle: time.Hour}
				if remembers {
					o.Remember = &session.RememberOptions{}
				}
				web, err := session.New(db, site, o)
				schemetest.Must(t, err)
				admin, err := session.New(db, site, &session.Options{Cookie: "admin", Idle: time.Hour, Remember: &session.RememberOptions{}})
				schemetest.Must(t, err)
				kept := begin(t, admin.StartRemembered, "1", "__Host-admin-remember")
				list, err := web.Sessions(t.Context(), "1", 10)
				if err != nil || len(list) != 1 {
					t.Fatal(list, err)
				}
				schemetest.Must(t, end(web, list[0].ID))
				if got := through(t, authn.Chain{admin}, whoami, kept); got.Code != 401 {
					t.Errorf("the remembered login: %d %s, want 401", got.Code, got.Body)
				}
			})
		}
	}
}

// Logins beyond the result of one list are ended too.
func TestEndAllOfManyRememberedLogins(t *testing.T) {
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	db := memory.New(nil)
	schemetest.Must(t, db.CreateUser(t.Context(), storage.User{ID: "1", Name: "boss", Active: true}))
	s, err := session.New(db, site, &session.Options{MaxSessions: session.NoLimit, Idle: time.Hour, Remember: &session.RememberOptions{}})
	schemetest.Must(t, err)
	oldest := begin(t, s.StartRemembered, "1", "__Host-remember")
	for range 10_000 {
		begin(t, s.StartRemembered, "1", "__Host-remember")
	}
	if _, err := s.EndAll(t.Context(), "1", ""); err != nil {
		t.Fatal(err)
	}
	if got := through(t, authn.Chain{s}, whoami, oldest); got.Code != 401 {
		t.Errorf("the oldest of 10,001 remembered logins after EndAll: %d %s, want 401", got.Code, got.Body)
	}
}

// Two unknown addresses do not count as equal: a repeated exchange after the use of its response
// gets nothing.
func TestRememberedWithoutAddress_attack_384(t *testing.T) {
	now := born
	clock := func() time.Time { return now }
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	db := memory.New(&memory.Options{Clock: clock})
	schemetest.Must(t, db.CreateUser(t.Context(), storage.User{ID: "1", Name: "boss", Active: true}))
	s, err := session.New(db, site, &session.Options{Idle: time.Hour, Clock: clock, Remember: &session.RememberOptions{Grace: time.Minute}})
	schemetest.Must(t, err)
	from := func(cookie string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("GET", "https://app.example/", nil), httptest.NewRecorder()
		r.RemoteAddr = "@" // a Unix socket whose proxy is not named
		r.Header.Set("Cookie", cookie)
		authn.New(authn.Chain{s}, nil).Handler(http.HandlerFunc(whoami)).ServeHTTP(w, r)
		return w
	}
	copied := begin(t, s.StartRemembered, "1", "__Host-remember")
	now = now.Add(2 * time.Hour)
	back := from(copied)
	mine := cookiePair(back, "__Host-session")
	if back.Code != 200 || mine == "" {
		t.Fatal(back.Code)
	}
	now = now.Add(15 * time.Second)
	if got := from(mine); got.Code != 200 {
		t.Fatal(got.Code)
	}
	now = now.Add(15 * time.Second)
	if got := from(copied); got.Code != 401 {
		t.Errorf("the copy, after the owner used the session: %d", got.Code)
	}
}

// A form of another site, with which browsers send no Lax cookie, creates no session that replaces
// the visitor's or the user's own.
func TestFormOfAnotherSite_attack_393(t *testing.T) {
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	ring, err := keys.NewRing(bytes.Repeat([]byte("0123456789abcdef"), 2))
	schemetest.Must(t, err)
	rows, err := session.New(memory.New(nil), site, nil)
	schemetest.Must(t, err)
	sealed, err := session.NewSealed(ring, site, nil)
	schemetest.Must(t, err)
	for kind, store := range map[string]sessions.Store{"rows": rows.Store(), "sealed": sealed.Store()} {
		for _, name := range []string{"session", "cart"} {
			for from, want := range map[string]bool{"https://evil.example": false, "https://app.example": true} {
				r, w := httptest.NewRequest("POST", "https://app.example/cart", strings.NewReader("a=b")), httptest.NewRecorder()
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set("Origin", from)
				v, err := store.Get(r, name)
				v.Values["x"] = "y"
				if saved := store.Save(r, w, v); (err == nil) != want || (saved == nil) != want || (len(w.Result().Cookies()) > 0) != want {
					t.Errorf("%s, %s, from %s: Get %v, Save %v, cookies %v", kind, name, from, err, saved, w.Result().Cookies())
				}
			}
		}
	}
}

// Two services serve one site over one store, and one of them knows of remembered logins: a logout at
// the other, and a login of somebody else there, end the remembered login.
func TestLogoutWhereNobodyIsRemembered(t *testing.T) {
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	for name, leave := range map[string]func(s *session.Scheme, w http.ResponseWriter, r *http.Request) error{
		"attack_414 logout": func(s *session.Scheme, w http.ResponseWriter, r *http.Request) error { return s.EndCurrent(w, r) },
		"attack_414 another login": func(s *session.Scheme, w http.ResponseWriter, r *http.Request) error {
			return s.Start(w, r, authn.Login{Subject: "2"})
		},
		"attack_414 gorilla": func(s *session.Scheme, _ http.ResponseWriter, r *http.Request) error {
			var err error
			through(t, authn.Chain{s}, func(w http.ResponseWriter, r *http.Request) {
				v, _ := s.Store().Get(r, "session")
				v.Options.MaxAge = -1
				err = s.Store().Save(r, w, v)
			}, r.Header.Get("Cookie"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := memory.New(nil)
			for _, id := range []string{"1", "2"} {
				schemetest.Must(t, db.CreateUser(t.Context(), storage.User{ID: id, Name: "user" + id, Active: true}))
			}
			web, err := session.New(db, site, &session.Options{Idle: time.Hour, Remember: &session.RememberOptions{}})
			schemetest.Must(t, err)
			other, err := session.New(db, site, &session.Options{Idle: time.Hour})
			schemetest.Must(t, err)
			login := httptest.NewRecorder()
			schemetest.Must(t, web.StartRemembered(login, httptest.NewRequest("POST", "https://app.example/login", nil), authn.Login{Subject: "1"}))
			mine, kept := cookiePair(login, "__Host-session"), cookiePair(login, "__Host-remember")
			r := httptest.NewRequest("POST", "https://app.example/logout", nil)
			r.Header.Set("Cookie", mine+"; "+kept)
			schemetest.Must(t, leave(other, httptest.NewRecorder(), r))
			if got := through(t, authn.Chain{web}, whoami, kept); got.Code != 401 {
				t.Errorf("the remembered login: %d %s, want 401", got.Code, got.Body)
			}
		})
	}
}

// A session of another scheme, whose account has the same ID in a store of its own, lists and ends no
// sessions here. One over the same store does.
func TestListAtAnotherScheme(t *testing.T) {
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	ring, err := keys.NewRing(bytes.Repeat([]byte("0123456789abcdef"), 2))
	schemetest.Must(t, err)
	newStore := func() *memory.Store {
		db := memory.New(nil)
		schemetest.Must(t, db.CreateUser(t.Context(), storage.User{ID: "1", Name: "one", Active: true}))
		return db
	}
	rows, others := newStore(), newStore()
	staff, err := session.New(rows, site, &session.Options{Cookie: "staff"})
	schemetest.Must(t, err)
	shop, err := session.New(others, site, &session.Options{Cookie: "shop"})
	schemetest.Must(t, err)
	intranet, err := session.New(rows, site, &session.Options{Cookie: "intranet"})
	schemetest.Must(t, err)
	sealed, err := session.NewSealed(ring, site, &session.SealedOptions{Options: session.Options{Cookie: "sealed"}})
	schemetest.Must(t, err)
	same, err := session.NewSealed(ring, site, &session.SealedOptions{Options: session.Options{Cookie: "same"}, Users: rows})
	schemetest.Must(t, err)
	begin(t, staff.Start, "1", "__Host-staff")
	for name, x := range map[string]struct {
		by     authn.Authenticator
		start  func(http.ResponseWriter, *http.Request, authn.Login) error
		cookie string
		status int
	}{
		"attack_415 another store":         {shop, shop.Start, "__Host-shop", 403},
		"attack_415 sealed, without users": {sealed, sealed.Start, "__Host-sealed", 403},
		"sealed, the same store":           {same, same.Start, "__Host-same", 200},
		"the same store":                   {intranet, intranet.Start, "__Host-intranet", 200},
		"its own":                          {staff, staff.Start, "__Host-staff", 200},
	} {
		t.Run(name, func(t *testing.T) {
			mine := begin(t, x.start, "1", x.cookie)
			if got := through(t, authn.Chain{x.by}, staff.List().ServeHTTP, mine); got.Code != x.status {
				t.Errorf("lists: %d %s, want %d", got.Code, got.Body, x.status)
			}
			list, err := staff.Sessions(t.Context(), "1", 10)
			if err != nil || len(list) == 0 {
				t.Fatal(list, err)
			}
			for what, h := range map[string]http.Handler{"end": staff.End(), "others": staff.EndOthers()} {
				r := httptest.NewRequest(map[string]string{"end": "DELETE", "others": "POST"}[what], "https://app.example/", nil)
				r.Header.Set("Cookie", mine)
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				r.SetPathValue("id", list[0].ID)
				w := httptest.NewRecorder()
				if authn.New(authn.Chain{x.by}, nil).Handler(h).ServeHTTP(w, r); x.status == 403 && w.Code != 403 {
					t.Errorf("%s: %d", what, w.Code)
				}
			}
			if left, err := staff.Sessions(t.Context(), "1", 10); x.status == 403 && (err != nil || len(left) != len(list)) {
				t.Errorf("%d of %d sessions are left, %v", len(left), len(list), err)
			}
			begin(t, staff.Start, "1", "__Host-staff")
		})
	}
}
