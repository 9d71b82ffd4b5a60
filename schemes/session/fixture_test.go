package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

type store = storagetest.Store

// each runs f on every kind of store.
func each(t *testing.T, f func(t *testing.T, s store)) { schemetest.Each(t, schemetest.Born, f) }

var errDown = errors.New("the database is down")

// writes are the methods that change a session, and calls those of a request with one.
func writes() []string {
	return []string{"CreateSession", "SaveSession", "TouchSession", "ClaimRefresh", "DeleteSession"}
}

func calls() []string { return append(writes(), "SessionByDigest") }

// born is the start time of a test's clock.
var born = schemetest.Born()

// password accepts the password "right" for every name.
type password struct{ s store }

func (p password) CheckPassword(r *http.Request, name, text string) (authn.Login, error) {
	u, err := p.s.UserByName(r.Context(), name)
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && (text != "right" || !u.Active):
		return authn.Login{}, authn.InvalidLogin()
	case err != nil:
		return authn.Login{}, err
	}
	return authn.Login{Subject: u.ID, Name: u.Name, Roles: u.Roles, User: u.WithPermissions(nil), Epoch: u.Epoch}, nil
}

// app is a server of the site https://app.example with one scheme.
type app struct {
	t   *testing.T
	s   *schemetest.Watched
	x   *session.Scheme
	c   *schemetest.Clock
	log schemetest.Journal
	mux *http.ServeMux
}

// down makes the store's session calls fail, or work again.
func (a *app) down(yes bool) {
	if yes {
		a.s.Fail(errDown, calls()...)
	} else {
		a.s.Fail(nil)
	}
}

func (a *app) reads() int64  { return a.s.Calls("SessionByDigest") }
func (a *app) writes() int64 { return a.s.Calls(writes()...) }

// take returns the events since the last call with their reasons.
func (a *app) take() string { return a.log.TakeReasons() }

const site = "https://app.example"

func newApp(t *testing.T, s store, opts *session.Options) *app {
	a := &app{t: t, s: schemetest.Watch(s), c: &schemetest.Clock{}, mux: http.NewServeMux()}
	var o session.Options
	if opts != nil {
		o = *opts
	}
	o.Clock = a.c.Now
	o.Audit = audit.To(a.log.Observe)
	where, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	a.x, err = session.New(a.s, where, &o)
	schemetest.Must(t, err)
	m := authn.New(authn.Chain{a.x, explicit{}}, nil)
	a.mux.Handle("/login", m.Public(a.x.Login(password{s})))
	a.mux.Handle("/logout", m.Public(a.x.Logout()))
	a.mux.Handle("/sessions", m.Handler(a.x.List()))
	a.mux.Handle("/sessions/{id}", m.Handler(a.x.End()))
	a.mux.Handle("/others", m.Handler(a.x.EndOthers()))
	a.mux.Handle("/", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		w.Header().Set("X-Body", r.FormValue("text"))
		_, _ = w.Write([]byte(id.Scheme + ":" + id.Subject))
	})))
	return a
}

// explicit is a scheme of the keyword Bearer whose tokens are names.
type explicit struct{}

func (explicit) Headers() []string { return []string{"Authorization"} }

func (explicit) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Bearer", "token")
	switch {
	case err != nil:
		return authn.Identity{}, err
	case !strings.HasPrefix(text, "id-"):
		return authn.Identity{}, authn.AuthenticationFailed("Invalid token.")
	}
	return authn.Identity{Subject: text, Scheme: "explicit"}, nil
}

// do sends a request as a page of the site would. headers are pairs; an empty value removes a
// header.
func (a *app) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := a.request(method, path, body, headers...)
	w := httptest.NewRecorder()
	a.mux.ServeHTTP(w, r)
	return w
}

func (a *app) request(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, site+path, strings.NewReader(body))
	if method != "GET" {
		r.Header.Set("Origin", site)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Add(headers[i], headers[i+1])
			if headers[i] != "Cookie" {
				r.Header.Set(headers[i], headers[i+1])
			}
		}
	}
	return r
}

// login returns the cookie of a new login; headers as for do.
func (a *app) login(name string, headers ...string) string {
	a.t.Helper()
	w := a.do("POST", "/login", `{"username":"`+name+`","password":"right"}`, headers...)
	if w.Code != 200 {
		a.t.Fatalf("login: %d %s", w.Code, w.Body)
	}
	return cookie(w)
}

// cookie returns the session cookie of a response in the form of a request header.
func cookie(w *httptest.ResponseRecorder) string {
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-session" {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// who returns the body or the status of a GET with that cookie.
func (a *app) who(cookie string) string {
	a.t.Helper()
	w := a.do("GET", "/", "", "Cookie", cookie)
	if w.Code != 200 {
		return http.StatusText(w.Code)
	}
	return w.Body.String()
}
