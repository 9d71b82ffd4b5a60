package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// visit sends a request through the middleware to a handler that uses the store.
func (a *app) visit(method, cookie string, f func(w http.ResponseWriter, r *http.Request), headers ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := a.request(method, "/", "", append([]string{"Cookie", cookie}, headers...)...)
	authn.New(authn.Chain{a.x, explicit{}}, nil).Handler(http.HandlerFunc(f)).ServeHTTP(w, r)
	return w
}

// own returns the login session of a request.
func own(t *testing.T, st *session.Store, r *http.Request) *sessions.Session {
	t.Helper()
	v, err := st.Get(r, "session")
	schemetest.Must(t, err)
	return v
}

func TestGorilla(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, nil)
		st := a.x.Store()
		// Nothing is stored before there are values.
		if w := a.visit("GET", "", func(w http.ResponseWriter, r *http.Request) {
			v := own(t, st, r)
			if !v.IsNew || v.Save(r, w) != nil {
				t.Error("an empty session")
			}
		}); a.writes() != 0 || len(w.Result().Cookies()) != 0 {
			t.Errorf("%d writes, %v", a.writes(), w.Header())
		}
		w := a.visit("POST", "", func(w http.ResponseWriter, r *http.Request) {
			v := own(t, st, r)
			v.Values["foo"], v.Values[42] = "bar", 43
			v.AddFlash("hello")
			schemetest.Must(t, v.Save(r, w))
			v.Values["later"] = true
			schemetest.Must(t, v.Save(r, w)) // again, in one request
		})
		before := cookie(w)
		if a.who(before) != ":" {
			t.Error("a session of nobody is somebody")
		}
		mine := a.login("alice", "Cookie", before)
		if a.who(before) != unauthorized || mine == before {
			t.Error("attack 110: the cookie of before lives")
		}
		reads, writes := a.reads(), a.writes()
		a.visit("GET", mine, func(w http.ResponseWriter, r *http.Request) {
			v := own(t, st, r)
			if v.IsNew || v.Values["foo"] != "bar" || v.Values[42] != 43 || v.Values["later"] != true || v != own(t, st, r) {
				t.Errorf("got %v", v.Values)
			}
			schemetest.Must(t, v.Save(r, w))
		})
		if r, w := a.reads()-reads, a.writes()-writes; r != 1 || w != 0 {
			t.Errorf("%d reads, %d writes: authentication's row is used, unchanged data are not written", r, w)
		}
		a.visit("GET", mine, func(w http.ResponseWriter, r *http.Request) {
			v := own(t, st, r)
			if f := v.Flashes(); len(f) != 1 || f[0] != "hello" {
				t.Errorf("flashes %v", f)
			}
			schemetest.Must(t, v.Save(r, w))
		})
		a.visit("GET", mine, func(w http.ResponseWriter, r *http.Request) {
			v := own(t, st, r)
			if len(v.Flashes()) != 0 {
				t.Error("the flash is there again")
			}
			v.Options.MaxAge = -1
			schemetest.Must(t, v.Save(r, w))
			v.Values["x"] = 1
			if err := v.Save(r, w); !errors.Is(err, session.ErrEnded) {
				t.Errorf("a save after the end: %v", err)
			}
		})
		if a.who(mine) != unauthorized {
			t.Error("the session lives")
		}
	})
}

// A session without a user stays valid while it is used, until its absolute timeout.
func TestDataStays(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, &session.Options{Idle: time.Hour, Absolute: 2 * time.Hour})
		st := a.x.Store()
		see := func(of string) (w *httptest.ResponseRecorder, n any) {
			w = a.visit("GET", of, func(w http.ResponseWriter, r *http.Request) {
				v := own(t, st, r)
				n = v.Values["n"]
				schemetest.Must(t, v.Save(r, w))
			})
			return w, n
		}
		mine := cookie(a.visit("GET", "", func(w http.ResponseWriter, r *http.Request) {
			v := own(t, st, r)
			v.Values["n"] = 7
			schemetest.Must(t, v.Save(r, w))
		}))
		if w, n := see(mine); n != 7 || cookie(w) != "" || a.writes() != 1 {
			t.Errorf("at once: %v, %v, %d writes", n, w.Header(), a.writes())
		}
		for _, at := range []time.Duration{50 * time.Minute, 100 * time.Minute, 119 * time.Minute} {
			a.c.Set(at)
			if w, n := see(mine); n != 7 || cookie(w) != mine {
				t.Errorf("at %s: %v, %v", at, n, w.Header())
			}
		}
		a.c.Set(2 * time.Hour)
		if w := a.do("GET", "/", "", "Cookie", mine); w.Code != 401 {
			t.Errorf("at the absolute end: %d", w.Code)
		}
		a.c.Set(0)
		mine = a.login("alice")
		a.c.Set(10 * time.Minute)
		writes := a.writes()
		if w, _ := see(mine); len(w.Result().Cookies()) != 1 || a.writes() != writes+1 {
			t.Errorf("%d writes, %v: a use is noted once in a request", a.writes()-writes, w.Header())
		}
	})
}

func TestGorillaRefusals(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	schemetest.Add(t, s, "bob")
	a := newApp(t, s, nil)
	st := a.x.Store()
	mine := a.login("alice")
	set := func(v any) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			x := own(t, st, r)
			x.Values["k"] = v
			schemetest.Must(t, x.Save(r, w))
		}
	}
	a.visit("GET", mine, set("secret"))
	t.Run("another_identity", func(t *testing.T) {
		a.visit("GET", mine, func(w http.ResponseWriter, r *http.Request) {
			x, err := st.Get(r, "session")
			if err != nil || len(x.Values) != 0 || !x.IsNew {
				t.Errorf("bob reads %v, %v", x.Values, err)
			}
			x.Values["k"] = "bob's"
			if err := x.Save(r, w); !errors.Is(err, session.ErrNotYours) {
				t.Errorf("bob saves: %v", err)
			}
		}, "Authorization", "Bearer id-bob")
	})
	t.Run("cross_site", func(t *testing.T) {
		r := a.request("POST", "/", "", "Cookie", mine, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Authorization", "Bearer id-alice")
		r = r.WithContext(authn.WithIdentity(r.Context(), authn.Identity{Subject: "id-alice"}))
		x, err := st.Get(r, "session")
		if err == nil || len(x.Values) != 0 || x.Save(r, httptest.NewRecorder()) == nil {
			t.Errorf("got %v, %v", x.Values, err)
		}
	})
	t.Run("values", func(t *testing.T) {
		for name, v := range map[string]any{"struct": struct{}{}, "attack_116_size": strings.Repeat("x", storage.MaxSessionDataBytes)} {
			a.visit("GET", mine, func(w http.ResponseWriter, r *http.Request) {
				x := own(t, st, r)
				x.Values["k"] = v
				if err := x.Save(r, w); err == nil || name == "attack_116_size" && !errors.Is(err, session.ErrTooLarge) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		a.visit("GET", mine, func(_ http.ResponseWriter, r *http.Request) {
			if got := own(t, st, r).Values["k"]; got != "secret" {
				t.Errorf("got %v: a failure changes nothing", got)
			}
		})
	})
	t.Run("attack_112_another_user_gets_no_data", func(t *testing.T) {
		bobs := a.login("bob", "Cookie", mine)
		a.visit("GET", bobs, func(_ http.ResponseWriter, r *http.Request) {
			if x := own(t, st, r); len(x.Values) != 0 {
				t.Errorf("bob has %v", x.Values)
			}
		})
		if a.who(mine) != unauthorized {
			t.Error("alice's session lives")
		}
	})
	t.Run("attack_115_names", func(t *testing.T) {
		if _, err := st.Get(a.request("GET", "/", ""), "a b"); err == nil {
			t.Error("a blank in a cookie's name")
		}
		text := cookie(a.visit("GET", "", set("of nobody")))[len("__Host-session="):]
		a.visit("GET", "__Host-other="+text, func(_ http.ResponseWriter, r *http.Request) {
			x, err := st.Get(r, "other")
			if err != nil || !x.IsNew {
				t.Errorf("attack 115: %v, %v", x, err)
			}
		})
	})
	t.Run("faults", func(t *testing.T) {
		a.down(true)
		defer a.down(false)
		x, err := st.Get(a.request("GET", "/", "", "Cookie", a.loginAgain()), "session")
		if !errors.Is(err, errDown) || x == nil {
			t.Errorf("got %v, %v", x, err)
		}
	})
}

// loginAgain is login while the store fails for everyone else.
func (a *app) loginAgain() string {
	a.down(false)
	defer a.down(true)
	return a.login("alice")
}

func TestSaveRaces(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, nil)
		st := a.x.Store()
		race := func(f func(i int)) {
			var wait sync.WaitGroup
			begin := make(chan struct{})
			for i := range 64 {
				wait.Go(func() { <-begin; f(i) })
			}
			close(begin)
			wait.Wait()
		}
		t.Run("attack_119_lost_update", func(t *testing.T) {
			mine := a.login("alice")
			race(func(i int) {
				a.visit("GET", mine, func(w http.ResponseWriter, r *http.Request) {
					x := own(t, st, r)
					x.Values[i] = fmt.Sprint(i)
					if err := x.Save(r, w); err != nil {
						t.Error(err)
					}
				})
			})
			a.visit("GET", mine, func(_ http.ResponseWriter, r *http.Request) {
				if n := len(own(t, st, r).Values); n != 64 {
					t.Errorf("%d of 64 changes are there", n)
				}
			})
		})
		t.Run("attack_120_logout_beside_save", func(t *testing.T) {
			mine := a.login("alice")
			race(func(i int) {
				if i == 32 {
					if w := a.do("POST", "/logout", "", "Cookie", mine); w.Code != 204 {
						t.Errorf("logout: %d", w.Code)
					}
					return
				}
				a.visit("GET", mine, func(w http.ResponseWriter, r *http.Request) {
					x := own(t, st, r)
					x.Values[i] = i
					if err := x.Save(r, w); err != nil && !errors.Is(err, session.ErrEnded) {
						t.Error(err)
					}
				})
			})
			if a.who(mine) != unauthorized {
				t.Error("the session is back")
			}
		})
		t.Run("login_beside_logout_everywhere", func(t *testing.T) {
			cookies := make([]string, 64)
			race(func(i int) {
				if i == 32 {
					_, err := s.BumpEpoch(t.Context(), "id-alice")
					if err != nil {
						t.Error(err)
					}
					return
				}
				w := a.do("POST", "/login", `{"username":"alice","password":"right"}`)
				if w.Code != 200 && w.Code != 401 {
					t.Errorf("login: %d %s", w.Code, w.Body)
				}
				cookies[i] = cookie(w)
			})
			list, err := a.x.Sessions(t.Context(), "id-alice", 1000)
			schemetest.Must(t, err)
			u, err := s.UserByName(t.Context(), "alice")
			schemetest.Must(t, err)
			for _, v := range list {
				if v.Epoch != u.Epoch {
					t.Error("a session of an earlier epoch is listed")
				}
			}
			live := 0
			for _, c := range cookies {
				if c != "" && a.who(c) == "session:id-alice" {
					live++
				}
			}
			if live > len(list) {
				t.Errorf("%d cookies hold, %d sessions of the present epoch", live, len(list))
			}
		})
	})
}
