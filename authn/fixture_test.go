package authn_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// quiet is a logger for tests that do not look at the log.
var quiet = slog.New(slog.DiscardHandler)

// world is a server with the schemes that exist, and one user.
type world struct {
	store  *memory.Store
	token  *token.Scheme // keyword Token
	bearer *token.Scheme // keyword Bearer
	basic  *basic.Scheme
	good   string // alice's token under either
	other  string // bob's
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{store: memory.New(nil)}
	ring, err := keys.NewRing(keys.Generate())
	must(t, err)
	w.token, err = token.New(w.store, ring, nil)
	must(t, err)
	w.bearer, err = token.New(w.store, ring, &token.Options{Keyword: "Bearer", Realm: "api"})
	must(t, err)
	w.basic, err = basic.New(passwords{}, nil)
	must(t, err)
	for _, name := range []string{"alice", "bob"} {
		must(t, w.store.CreateUser(ctx, storage.User{ID: name, Name: name, Active: true}))
	}
	w.good, err = w.token.GetOrCreate(ctx, "alice", 0)
	must(t, err)
	w.other, err = w.token.GetOrCreate(ctx, "bob", 0)
	must(t, err)
	return w
}

// passwords takes one pair.
type passwords struct{}

func (passwords) CheckPassword(_ *http.Request, name, password string) (authn.Login, error) {
	if name == "alice" && password == "wonderland-42" {
		return authn.Login{Subject: "alice", Name: "alice"}, nil
	}
	return authn.Login{}, authn.InvalidLogin()
}

// cookies is a small session scheme: the cookie names the user.
type cookies struct{ name string }

func (c cookies) Name() string      { return "session" }
func (c cookies) Headers() []string { return []string{"Cookie"} }
func (c cookies) Challenge(*http.Request, error) string {
	return `Session realm="api"`
}

func (c cookies) Authenticate(r *http.Request) (authn.Identity, error) {
	found := r.CookiesNamed(c.name)
	switch {
	case len(found) == 0:
		return authn.Identity{}, authn.ErrNoCredentials
	case len(found) > 1:
		return authn.Identity{}, authn.AuthenticationFailed("Two session cookies.")
	case found[0].Value == "bad":
		return authn.Identity{}, authn.AuthenticationFailed("Invalid session.")
	case found[0].Value == "broken":
		return authn.Identity{}, errors.New("session store is down")
	}
	return authn.Identity{Subject: found[0].Value, Roles: []string{"by-cookie"}}, nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// who answers with the identity that it sees.
func who(w http.ResponseWriter, r *http.Request) {
	id := authn.FromContext(r.Context())
	fmt.Fprintf(w, "%s/%s", id.Subject, id.Scheme)
}

// serve runs h on a real server.
func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// mux is a router with a closed, an open and an administrator's route.
func (w *world) mux(a authn.Authenticator) *authz.Mux {
	m := authz.NewMux(authn.New(a, &authn.Options{Logger: quiet}))
	m.HandleFunc("/closed", who, authz.IsAuthenticated)
	m.HandleFunc("/open", who, authz.AllowAny)
	m.HandleFunc("/admin", who, authz.IsAdmin)
	return m
}

// raw sends bytes as they are and returns the answer.
func raw(t testing.TB, s *httptest.Server, request string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = io.WriteString(c, request)
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp
}

func get(path string, headers ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// ask runs a handler once.
func ask(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for _, x := range headers {
		name, value, _ := strings.Cut(x, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
