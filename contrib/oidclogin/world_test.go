package oidclogin_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/link"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/contrib/oidclogin"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const origin = "https://app.example"

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// app is an application with the providers.
type app struct {
	t        testing.TB
	db       *memory.Store
	sessions *session.Scheme
	accounts *link.Directory
	mux      *authz.Mux
	ahead    atomic.Int64 // of the clock of the sessions and of the login
}

func (a *app) now() time.Time { return time.Now().Add(time.Duration(a.ahead.Load())) }

// newApp returns an application that creates an account for each new user, named by the claim
// "preferred_username".
func newApp(t testing.TB, client *http.Client, providers ...oidclogin.Provider) *app {
	t.Helper()
	a := &app{t: t, db: memory.New(nil)}
	site, err := csrf.New(origin, nil)
	must(t, err)
	a.sessions, err = session.New(a.db, site, &session.Options{Logger: quiet, Clock: a.now})
	must(t, err)
	a.accounts, err = link.New(a.db, &link.Options{First: func(_ context.Context, p link.Person) (link.Decision, error) {
		return link.Create(storage.User{Name: p.Text("preferred_username"), Email: p.Text("email")}), nil
	}})
	must(t, err)
	ring, err := keys.NewRing(keys.Generate())
	must(t, err)
	l, err := oidclogin.New(oidclogin.Config{
		Origin: origin, Site: site, Sessions: a.sessions, Accounts: a.accounts, Replays: a.db, Keys: ring, Providers: providers,
	}, &oidclogin.Options{Client: client, Logger: quiet, Clock: a.now, Rate: throttle.Off(), Next: "/home"})
	must(t, err)
	a.mux = authz.NewMux(authn.New(authn.Chain{a.sessions}, &authn.Options{Logger: quiet}))
	l.Routes(a.mux)
	return a
}

// browser is a browser with cookies of the application.
type browser struct {
	a       *app
	cookies map[string]string
}

func (a *app) browser() *browser { return &browser{a, map[string]string{}} }

// copy returns a browser with the same cookies.
func (b *browser) copy() *browser {
	c := b.a.browser()
	for k, v := range b.cookies {
		c.cookies[k] = v
	}
	return c
}

func (b *browser) send(r *http.Request) *httptest.ResponseRecorder {
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.a.mux.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" {
			b.a.t.Errorf("cookie %+v", c)
		}
	}
	return w
}

// post sends a form of the application's own page.
func (b *browser) post(path string, pairs ...string) *httptest.ResponseRecorder {
	r := formOf(path, pairs...)
	r.Header.Set("Origin", origin)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.send(r)
}

func formOf(path string, pairs ...string) *http.Request {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest("POST", origin+path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// get follows a link from the provider.
func (b *browser) get(address string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", address, nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Accept", "text/html")
	return b.send(r)
}

// user returns the account of the browser's session, or "".
func (b *browser) user() string {
	r := httptest.NewRequest("GET", origin+"/", nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	id, err := b.a.sessions.Authenticate(r)
	if err != nil {
		return ""
	}
	return id.Subject
}

func (b *browser) identity() authn.Identity {
	r := httptest.NewRequest("GET", origin+"/", nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	id, err := b.a.sessions.Authenticate(r)
	must(b.a.t, err)
	return id
}

// password logs the browser in as an account, as a form with a password does.
func (b *browser) password(id string) {
	b.a.t.Helper()
	epoch, err := b.a.db.SubjectEpoch(b.a.t.Context(), id)
	must(b.a.t, err)
	w := httptest.NewRecorder()
	must(b.a.t, b.a.sessions.Start(w, httptest.NewRequest("POST", origin+"/login", nil), authn.Login{Subject: id, Epoch: epoch}))
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
}

// begin begins a login and returns the address at the provider.
func (b *browser) begin(path string, pairs ...string) *url.URL {
	b.a.t.Helper()
	w := b.post(path, pairs...)
	u, err := url.Parse(w.Header().Get("Location"))
	if w.Code != http.StatusSeeOther || err != nil || u.Host == "" {
		b.a.t.Fatalf("begin: %d %s %s", w.Code, u, w.Body)
	}
	return u
}

func (a *app) add(id, name, email string) {
	a.t.Helper()
	must(a.t, a.db.CreateUser(a.t.Context(), storage.User{ID: id, Name: name, Email: email, Active: true}))
}

func (a *app) users() int {
	list, err := a.db.ListUsers(a.t.Context(), "", 100)
	must(a.t, err)
	return len(list)
}

func codeOf(w *httptest.ResponseRecorder) string {
	var body struct{ Code string }
	_ = json.Unmarshal(w.Body.Bytes(), &body)
	return body.Code
}
