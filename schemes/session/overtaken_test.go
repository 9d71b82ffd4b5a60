package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A handler or a middleware that saves the gorilla session after a logout or a login in the same
// request restores no user and undoes no login, whether it loaded the session before or after, and
// for both kinds of sessions.
func TestSaveAfterLogoutOrLogin_attack_275(t *testing.T) {
	for _, kind := range []string{"rows", "sealed"} {
		for _, outer := range []bool{false, true} { // a middleware that saves what another request object loaded
			for _, early := range []bool{false, true} {
				for name, x := range map[string]struct {
					first string // logged in before; "" is nobody
					do    func(scheme, http.ResponseWriter, *http.Request) error
					who   string
					saved bool
				}{
					"logout":              {"id-alice", func(s scheme, w http.ResponseWriter, r *http.Request) error { return s.EndCurrent(w, r) }, "", false},
					"login as another":    {"id-alice", logInAs("id-bob"), "id-bob", false},
					"login as the same":   {"id-alice", logInAs("id-alice"), "id-alice", false},
					"login of nobody":     {"", logInAs("id-bob"), "id-bob", false},
					"anonymous logout":    {"", func(s scheme, w http.ResponseWriter, r *http.Request) error { return s.EndCurrent(w, r) }, "", true},
					"nothing in between":  {"id-alice", func(scheme, http.ResponseWriter, *http.Request) error { return nil }, "id-alice", true},
					"nothing, and nobody": {"", func(scheme, http.ResponseWriter, *http.Request) error { return nil }, "", true},
					"saved again and again": {"id-alice", func(s scheme, w http.ResponseWriter, r *http.Request) error {
						return storeOf(s).Save(r, w, changed(t, storeOf(s), r))
					}, "id-alice", true},
				} {
					t.Run(kind+map[bool]string{true: "/outer"}[outer]+map[bool]string{true: "/early/", false: "/late/"}[early]+name, func(t *testing.T) {
						db := memory.New(nil)
						schemetest.Add(t, db, "alice")
						schemetest.Add(t, db, "bob")
						where, err := csrf.New(site, nil)
						schemetest.Must(t, err)
						var s scheme
						if kind == "rows" {
							s, err = session.New(db, where, nil)
						} else {
							ring, _ := keys.NewRing(make32())
							s, err = session.NewSealed(ring, where, &session.SealedOptions{Users: db})
						}
						schemetest.Must(t, err)
						st := storeOf(s)
						jar := ""
						serve := func(h http.HandlerFunc) {
							r := httptest.NewRequest("POST", site+"/", nil)
							r.Header.Set("Origin", site)
							if jar != "" {
								r.Header.Set("Cookie", jar)
							}
							w := httptest.NewRecorder()
							authn.New(s, nil).Handler(h).ServeHTTP(w, r)
							for _, c := range w.Result().Cookies() {
								if jar = c.Name + "=" + c.Value; c.MaxAge < 0 {
									jar = ""
								}
							}
						}
						if x.first != "" {
							serve(func(w http.ResponseWriter, r *http.Request) { schemetest.Must(t, logInAs(x.first)(s, w, r)) })
						}
						serve(func(w http.ResponseWriter, r *http.Request) {
							inner := r
							if outer {
								inner = r.WithContext(r.Context())
							}
							var v *sessions.Session
							if early {
								v = changed(t, st, r)
							}
							schemetest.Must(t, x.do(s, w, inner))
							if !early {
								v = changed(t, st, r)
							}
							err := st.Save(r, w, v)
							if x.saved && err != nil || !x.saved && !errors.Is(err, session.ErrEnded) {
								t.Errorf("saved: %v", err)
							}
							if err := st.Save(r, w, v); x.saved != (err == nil) {
								t.Errorf("saved again: %v", err)
							}
						})
						who := "not asked"
						serve(func(_ http.ResponseWriter, r *http.Request) { who = authn.FromContext(r.Context()).Subject })
						if who != x.who {
							t.Errorf("logged in: %q, want %q", who, x.who)
						}
					})
				}
			}
		}
	}
}

func make32() []byte { return []byte("0123456789abcdef0123456789abcdef") }

// scheme contains the methods of both kinds of schemes.
type scheme interface {
	authn.Authenticator
	Start(http.ResponseWriter, *http.Request, authn.Login) error
	EndCurrent(http.ResponseWriter, *http.Request) error
}

func logInAs(subject string) func(scheme, http.ResponseWriter, *http.Request) error {
	return func(s scheme, w http.ResponseWriter, r *http.Request) error {
		return s.Start(w, r, authn.Login{Subject: subject})
	}
}

func storeOf(s authn.Authenticator) sessions.Store {
	if rows, ok := s.(*session.Scheme); ok {
		return rows.Store()
	}
	return s.(*session.Sealed).Store()
}

// changed is the request's session with a value of this call.
func changed(t *testing.T, st sessions.Store, r *http.Request) *sessions.Session {
	t.Helper()
	v, err := st.Get(r, "session")
	schemetest.Must(t, err)
	n, _ := v.Values["n"].(int)
	v.Values["n"] = n + 1
	return v
}
