package session_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	pw "github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

const (
	oldPassword = "wonderland-42"
	newPassword = "looking-glass-43"
)

// keeper is a server where users change their password and stay logged in.
type keeper struct {
	mux       *http.ServeMux
	passwords *pw.Checker
	db        store
	subject   string
	between   func() // called after the password was changed and before the session is
}

func newKeeper(t *testing.T, s store) *keeper {
	t.Helper()
	k := &keeper{mux: http.NewServeMux(), db: s, between: func() {}}
	var err error
	hasher := passwordtest.New(t, &pw.HasherOptions{Slots: 2, MaxWait: time.Minute})
	k.passwords, err = pw.New(s.(pw.Store), hasher, &pw.Options{FailureFloor: time.Nanosecond, Limiter: free{}})
	schemetest.Must(t, err)
	u, err := k.passwords.Register(t.Context(), pw.NewUser{Name: "alice", Password: oldPassword})
	schemetest.Must(t, err)
	k.subject = u.ID
	where, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	browsers, err := session.New(s, where, &session.Options{Remember: &session.RememberOptions{}})
	schemetest.Must(t, err)
	devices, err := knox.New(s.(knox.Store), nil)
	schemetest.Must(t, err)
	m := authn.New(authn.Chain{browsers, devices}, nil)
	k.mux.Handle("/login", m.Public(browsers.Login(k.passwords)))
	k.mux.Handle("/token", m.Public(devices.Login(k.passwords)))
	change := func(r *http.Request) (authn.Login, error) {
		login, err := k.passwords.ChangeOwn(r, "alice", r.FormValue("old"), r.FormValue("new"))
		k.between()
		return login, err
	}
	k.mux.Handle("/keep", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := browsers.Keep(w, r, func() (authn.Login, error) { return change(r) }); err != nil {
			authn.Respond(w, r, err)
		}
	})))
	k.mux.Handle("/reissue", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		login, err := change(r)
		if err == nil {
			var text string
			if text, _, err = devices.Issue(r.Context(), login.Subject, login.Epoch, knox.Token{}); err == nil {
				_, _ = w.Write([]byte(text))
				return
			}
		}
		authn.Respond(w, r, err)
	})))
	k.mux.Handle("/", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := browsers.Store().Get(r, "session")
		schemetest.Must(t, err)
		if r.Method == "POST" {
			v.Values["n"] = 7
			schemetest.Must(t, v.Save(r, w))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"who": authn.FromContext(r.Context()).Subject, "n": v.Values["n"]})
	})))
	return k
}

// free is a limiter that counts nothing.
type free struct{}

func (free) Reserve(*http.Request, string) (authn.LoginAttempt, error) { return free{}, nil }
func (free) Succeeded(context.Context) []*http.Cookie                  { return nil }
func (free) Cancelled(context.Context)                                 {}
func (free) Source() string                                            { return "" }

func (k *keeper) do(method, path, form string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, site+path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", site)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	k.mux.ServeHTTP(w, r)
	return w
}

// cookies returns the cookies of a response in the form of a request header.
func cookies(w *httptest.ResponseRecorder) string {
	var all []string
	for _, c := range w.Result().Cookies() {
		if c.MaxAge >= 0 {
			all = append(all, c.Name+"="+c.Value)
		}
	}
	return strings.Join(all, "; ")
}

const changeForm = "old=" + oldPassword + "&new=" + newPassword

// A user who changes the password stays logged in; all other sessions of the account are revoked.
func TestKeep(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		k := newKeeper(t, s)
		login := func(form string) string {
			w := k.do("POST", "/login", form)
			if w.Code != 200 {
				t.Fatalf("login: %d %s", w.Code, w.Body)
			}
			return cookies(w)
		}
		token := func() string {
			var body struct{ Token string }
			schemetest.Must(t, json.Unmarshal(k.do("POST", "/token", "username=alice&password="+oldPassword).Body.Bytes(), &body))
			return "Knox " + body.Token
		}
		credentials := "username=alice&password=" + oldPassword
		t.Run("edge_C19/session", func(t *testing.T) {
			mine, other, device := login(credentials+"&remember=true"), login(credentials), token()
			if w := k.do("POST", "/", "", "Cookie", mine); w.Code != 200 {
				t.Fatal(w.Code, w.Body)
			}
			if w := k.do("POST", "/keep", "old=wrong&new="+newPassword, "Cookie", mine); w.Code != 400 || w.Header()["Set-Cookie"] != nil {
				t.Errorf("a wrong password: %d %v", w.Code, w.Header())
			}
			if w := k.do("POST", "/keep", "old="+oldPassword+"&new=password1", "Cookie", mine); w.Code != 400 || w.Header()["Set-Cookie"] != nil {
				t.Errorf("a common password: %d %v", w.Code, w.Header())
			}
			w := k.do("POST", "/keep", changeForm, "Cookie", mine)
			next := cookies(w)
			if w.Code != 200 || !strings.Contains(next, "remember") {
				t.Fatalf("%d %s, cookies %q", w.Code, w.Body, next)
			}
			if w := k.do("GET", "/", "", "Cookie", next); w.Code != 200 || !strings.Contains(w.Body.String(), k.subject) || !strings.Contains(w.Body.String(), `"n":7`) {
				t.Errorf("the user's own: %d %s", w.Code, w.Body)
			}
			for what, header := range map[string][2]string{"own cookie of before": {"Cookie", mine}, "other browser": {"Cookie", other}, "device": {"Authorization", device}} {
				if w := k.do("GET", "/", "", header[0], header[1]); w.Code != 401 {
					t.Errorf("%s: %d %s", what, w.Code, w.Body)
				}
			}
		})
		schemetest.Must(t, reset(t, k))
		t.Run("edge_C19/token", func(t *testing.T) {
			mine, other := token(), login(credentials)
			w := k.do("POST", "/reissue", changeForm, "Authorization", mine)
			if w.Code != 200 {
				t.Fatal(w.Code, w.Body)
			}
			if got := k.do("GET", "/", "", "Authorization", "Knox "+w.Body.String()); got.Code != 200 {
				t.Errorf("the new token: %d %s", got.Code, got.Body)
			}
			if got := k.do("GET", "/", "", "Authorization", mine); got.Code != 401 {
				t.Errorf("the token of before: %d", got.Code)
			}
			if got := k.do("GET", "/", "", "Cookie", other); got.Code != 401 {
				t.Errorf("a browser: %d", got.Code)
			}
		})
		schemetest.Must(t, reset(t, k))
		t.Run("edge_C19/nobody", func(t *testing.T) {
			if w := k.do("POST", "/keep", changeForm); w.Code != 401 {
				t.Errorf("without a session: %d", w.Code)
			}
			if _, err := k.passwords.CheckPassword(httptest.NewRequest("GET", "/", nil), "alice", oldPassword); err != nil {
				t.Errorf("the password was changed: %v", err)
			}
		})
		// Changes by an administrator at the same time take effect.
		t.Run("edge_C19/changed again", func(t *testing.T) {
			mine := login(credentials)
			k.between = func() {
				_, err := s.BumpEpoch(t.Context(), k.subject)
				schemetest.Must(t, err)
			}
			if w := k.do("POST", "/keep", changeForm, "Cookie", mine); w.Code == 200 || strings.Contains(cookies(w), "session") {
				t.Errorf("%d, cookies %q", w.Code, cookies(w))
			}
			k.between = func() {}
		})
		schemetest.Must(t, reset(t, k))
		// An attacker who knows the old password logs in at the same time.
		t.Run("edge_C19/race", func(t *testing.T) {
			mine := login(credentials)
			var mu sync.Mutex
			var theirs []string
			var wg sync.WaitGroup
			stop := make(chan struct{})
			for range 4 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if w := k.do("POST", "/login", credentials); w.Code == 200 {
							mu.Lock()
							theirs = append(theirs, cookies(w))
							mu.Unlock()
						}
					}
				})
			}
			w := k.do("POST", "/keep", changeForm, "Cookie", mine)
			close(stop)
			wg.Wait()
			if w.Code != 200 {
				t.Fatal(w.Code, w.Body)
			}
			if got := k.do("GET", "/", "", "Cookie", cookies(w)); got.Code != 200 {
				t.Errorf("the user's own: %d", got.Code)
			}
			for _, c := range theirs {
				if got := k.do("GET", "/", "", "Cookie", c); got.Code != 401 {
					t.Errorf("an attacker's session lives: %d %s", got.Code, got.Body)
				}
			}
		})
	})
}

func reset(t *testing.T, k *keeper) error {
	return k.passwords.SetPassword(t.Context(), k.subject, oldPassword)
}

// A token of one user together with the session of another has no effect.
func Test_edge_C19_another_user(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		k := newKeeper(t, s)
		_, err := k.passwords.Register(t.Context(), pw.NewUser{Name: "bob", Password: oldPassword})
		schemetest.Must(t, err)
		bob := cookies(k.do("POST", "/login", "username=bob&password="+oldPassword))
		var body struct{ Token string }
		schemetest.Must(t, json.Unmarshal(k.do("POST", "/token", "username=alice&password="+oldPassword).Body.Bytes(), &body))
		if w := k.do("POST", "/keep", changeForm, "Cookie", bob, "Authorization", "Knox "+body.Token); w.Code != 401 || w.Header()["Set-Cookie"] != nil {
			t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
		}
		if w := k.do("POST", "/token", "username=alice&password="+oldPassword); w.Code != 200 {
			t.Errorf("the old password: %d", w.Code)
		}
	})
}
