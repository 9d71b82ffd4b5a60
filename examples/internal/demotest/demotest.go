// Package demotest drives the example servers as their users do.
package demotest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// Each runs f on SQLite and on PostgreSQL, directly and through PgBouncer, with the flags as
// they are after parsing.
func Each(t *testing.T, f func(t *testing.T, cfg demo.Flags, db *gormstore.Store, ring *keys.Ring), opts gormstore.Options) {
	for name, url := range map[string]func(*testing.T) string{
		"sqlite": func(t *testing.T) string { return "sqlite:" + t.TempDir() + "/db" }, "memory": func(*testing.T) string { return "sqlite::memory:" },
		"postgres": func(t *testing.T) string { return storetest.URL(t) },
		"edge_C01 pgbouncer": func(t *testing.T) string {
			return pgtest.Bouncer(t, storetest.URL(t)) + "&default_query_exec_mode=exec"
		},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && (name == "memory" || name == "edge_C01 pgbouncer") {
				t.Skip("the server is the same on the other two databases")
			}
			t.Parallel()
			cfg := demo.Flags{Addr: "127.0.0.1:0", DB: url(t), LoginRate: "10/m", FailureFloor: time.Nanosecond, Options: opts, KeyFile: t.TempDir() + "/key"}
			if _, _, err := keys.Create(cfg.KeyFile); err != nil {
				t.Fatal(err)
			}
			cfg.Users = []demo.User{{Name: "alice", Password: "wonderland-42"}, {Name: "bob", Password: "bob-the-builder-42"}, {Name: "admin", Password: "looking-glass-42", Roles: []string{"admin"}}}
			Weaken(t, &cfg)
			db, ring, cleanup, err := cfg.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cleanup)
			f(t, cfg, db, ring)
		})
	}
}

// Weaken lets passwords and chosen client secrets cost nothing. Call it before the server is built.
func Weaken(t testing.TB, cfg *demo.Flags) {
	t.Helper()
	h, err := cfg.Hasher()
	if err != nil {
		t.Fatal(err)
	}
	passwordtest.Weaken(h)
}

// Client calls one server.
type Client struct {
	T testing.TB
	S *httptest.Server
}

// NewClient serves h, with the slash at the end of paths as the servers have it.
func NewClient(t testing.TB, h http.Handler) Client {
	s := httptest.NewServer(demo.Slashless(h))
	t.Cleanup(s.Close)
	return Client{t, s}
}

// Do sends a request; headers are "Name: value". A body that begins with { is
// JSON, any other a form.
func (c Client) Do(method, path, body string, headers ...string) (*http.Response, string) {
	c.T.Helper()
	r, err := http.NewRequest(method, c.S.URL+path, strings.NewReader(body))
	if err != nil {
		c.T.Fatal(err)
	}
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	} else if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		c.T.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.T.Fatal(err)
	}
	return resp, strings.TrimSpace(string(text))
}

// Is fails unless the answer has that status and body; "*" is any body.
func (c Client) Is(status int, body, method, path, form string, headers ...string) *http.Response {
	c.T.Helper()
	resp, text := c.Do(method, path, form, headers...)
	if resp.StatusCode != status || body != "*" && text != body {
		c.T.Errorf("%s %s %q: %d %s, want %d %s", method, path, headers, resp.StatusCode, text, status, body)
	}
	return resp
}

// Token logs in and returns the Authorization header.
func (c Client) Token(path, name, password string) string {
	c.T.Helper()
	resp, text := c.Do("POST", path, `{"username":"`+name+`","password":"`+password+`"}`)
	var body struct{ Token string }
	if err := json.Unmarshal([]byte(text), &body); err != nil || resp.StatusCode != 200 || body.Token == "" {
		c.T.Fatalf("login of %s: %d %s", name, resp.StatusCode, text)
	}
	return "Authorization: Token " + body.Token
}

// JSON posts a body and returns the members of the answer, which must be 200; null
// ones are left out.
func (c Client) JSON(path, body string) map[string]string {
	c.T.Helper()
	resp, text := c.Do("POST", path, body)
	var members map[string]string
	if err := json.Unmarshal([]byte(text), &members); err != nil || resp.StatusCode != 200 {
		c.T.Fatalf("POST %s: %d %s", path, resp.StatusCode, text)
	}
	return members
}
