package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// store is what the tests need of one.
type store interface {
	storage.Users
	storage.Accounts
	session.Rows
	storage.Families
	storage.Pruner
}

// each runs f on every kind of store.
func each(t *testing.T, f func(t *testing.T, s store)) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) { f(t, s) })
	t.Run("cached", func(t *testing.T) {
		s, err := cached.New(memory.New(nil), &cached.Options{TTL: cached.MaxTTL, Clock: func() time.Time { return born }})
		must(t, err)
		f(t, s)
	})
}

// counting counts the calls of a store's sessions, and fails them where told so.
type counting struct {
	store
	reads, writes atomic.Int64
	fail          atomic.Bool
}

var errDown = errors.New("the database is down")

func (c *counting) note(n *atomic.Int64) error {
	n.Add(1)
	if c.fail.Load() {
		return errDown
	}
	return nil
}

func (c *counting) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	if err := c.note(&c.reads); err != nil {
		return storage.Session{}, storage.User{}, err
	}
	return c.store.SessionByDigest(ctx, d)
}

func (c *counting) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	if err := c.note(&c.writes); err != nil {
		return err
	}
	return c.store.CreateSession(ctx, v, replaces)
}

func (c *counting) SaveSession(ctx context.Context, d storage.Digest, version int64, data []byte) error {
	if err := c.note(&c.writes); err != nil {
		return err
	}
	return c.store.SaveSession(ctx, d, version, data)
}

func (c *counting) TouchSession(ctx context.Context, d storage.Digest, seen, expires, before time.Time) (bool, error) {
	if err := c.note(&c.writes); err != nil {
		return false, err
	}
	return c.store.TouchSession(ctx, d, seen, expires, before)
}

func (c *counting) ClaimRefresh(ctx context.Context, claim storage.RefreshClaim) error {
	if err := c.note(&c.writes); err != nil {
		return err
	}
	return c.store.ClaimRefresh(ctx, claim)
}

func (c *counting) DeleteSession(ctx context.Context, d storage.Digest) error {
	if err := c.note(&c.writes); err != nil {
		return err
	}
	return c.store.DeleteSession(ctx, d)
}

// born is when a test's clock begins: whole microseconds.
var born = time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)

// clock is a clock that stands still until it is moved.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time      { return born.Add(time.Duration(c.ns.Load())) }
func (c *clock) set(d time.Duration) { c.ns.Store(int64(d)) }

// password lets everybody in who knows "right"; it is no Django.
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
	t      *testing.T
	s      *counting
	x      *session.Scheme
	c      *clock
	mu     sync.Mutex
	events []string
	mux    *http.ServeMux
}

const site = "https://app.example"

func newApp(t *testing.T, s store, opts *session.Options) *app {
	a := &app{t: t, s: &counting{store: s}, c: &clock{}, mux: http.NewServeMux()}
	var o session.Options
	if opts != nil {
		o = *opts
	}
	o.Clock = a.c.now
	o.Audit = audit.To(func(_ context.Context, e audit.Event) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.events = append(a.events, word(e))
	})
	where, err := csrf.New(site, nil)
	must(t, err)
	a.x, err = session.New(a.s, where, &o)
	must(t, err)
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

// word is the kind of an event, and its reason.
func word(e audit.Event) string {
	if e.Reason == "" {
		return string(e.Kind)
	}
	return string(e.Kind) + ":" + e.Reason
}

// take returns the events since the last time, and forgets them.
func (a *app) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := strings.Join(a.events, " ")
	a.events = nil
	return s
}

// do sends a request as the site's own pages would; headers are pairs, "" takes one
// away.
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

// cookie returns the session cookie of an answer as a request carries it.
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

func add(t testing.TB, s storage.Users, name string) {
	t.Helper()
	must(t, s.CreateUser(context.Background(), storage.User{ID: "id-" + name, Name: name, Active: true, Roles: []string{"staff"}}))
}
