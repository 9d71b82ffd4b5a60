package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// parse returns the flags of a command line.
func parse(t *testing.T, args ...string) flags {
	t.Helper()
	var f flags
	fs := flag.NewFlagSet("token", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	f.register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	f.failureFloor = time.Nanosecond
	return f
}

// start opens the database of f and returns a server over it, as run does.
func start(t *testing.T, f flags) (*gormstore.Store, http.Handler) {
	t.Helper()
	ring, err := f.ring()
	if err != nil {
		t.Fatal(err)
	}
	db, isNew, err := open(t.Context(), f.db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	passwords, err := checker(db, ring, passwordtest.New(t, nil), f)
	if err == nil {
		err = addUsers(t.Context(), db, passwords, f, isNew)
	}
	if err != nil {
		t.Fatal(err)
	}
	h, err := server(db, ring, passwords, f)
	if err != nil {
		t.Fatal(err)
	}
	return db, h
}

func keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if _, _, err := keys.Create(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// client sends requests with one token.
type client struct {
	t     *testing.T
	h     http.Handler
	token string
}

// is checks the status and the body of the response; "*" is any body.
func (c client) is(status int, body, method, path, form string) {
	c.t.Helper()
	r, w := httptest.NewRequest(method, "http://127.0.0.1:8080"+path, strings.NewReader(form)), httptest.NewRecorder()
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Token "+c.token)
	}
	c.h.ServeHTTP(w, r)
	if text := strings.TrimSpace(w.Body.String()); w.Code != status || body != "*" && text != body {
		c.t.Errorf("%s %s: %d %s, want %d %s", method, path, w.Code, text, status, body)
	}
}

// logIn returns a client with the token of a user.
func logIn(t *testing.T, h http.Handler, path, name, password string) client {
	t.Helper()
	r, w := httptest.NewRequest("POST", "http://127.0.0.1:8080"+path, strings.NewReader(`{"username":"`+name+`","password":"`+password+`"}`)), httptest.NewRecorder()
	r.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(w, r)
	var body struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != 200 || body.Token == "" {
		t.Fatalf("login of %s: %d %s", name, w.Code, w.Body)
	}
	return client{t, h, body.Token}
}

func TestContract(t *testing.T) {
	for name, url := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + t.TempDir() + "/db" },
		"memory":   func(*testing.T) string { return "sqlite::memory:" },
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
			f := parse(t, "-db", url(t), "-key", keyFile(t), "-user", "alice:wonderland-42", "-user", "bob:bob-the-builder-42:admin")
			if err := f.check(); err != nil {
				t.Fatal(err)
			}
			db, h := start(t, f)
			alice := logIn(t, h, "/api/auth-token", "alice", "wonderland-42")
			if again := logIn(t, h, "/api/auth-token/", "ALICE", "wonderland-42"); again.token != alice.token {
				t.Error("two logins, two tokens")
			}
			const profile = `{"email":"alice@example.com","username":"alice"}`
			alice.is(200, profile, "GET", "/api/profile", "")
			alice.is(200, profile, "GET", "/api/profile/", "")
			client{t, h, ""}.is(401, `{"detail":"Authentication credentials were not provided."}`, "GET", "/api/profile", "")
			client{t, h, ""}.is(401, "*", "POST", "/api/auth-token", "username=alice&password=x")
			client{t, h, ""}.is(200, `{"status":"ok"}`, "GET", "/healthz", "")
			alice.is(204, "", "POST", "/api/logout", "")
			alice.is(401, `{"detail":"Invalid token."}`, "GET", "/api/profile", "")
			if again := logIn(t, h, "/api/auth-token", "alice", "wonderland-42"); again.token == alice.token {
				t.Error("the same token after a logout")
			}
			if u, err := db.UserByName(t.Context(), "bob"); err != nil || len(u.Roles) != 1 || u.Roles[0] != "admin" {
				t.Errorf("%v, %v", u.Roles, err)
			}
			if name == "memory" {
				return // the database ends with the program
			}
			// A second start on the same database keeps users and tokens.
			bob := logIn(t, h, "/api/auth-token", "bob", "bob-the-builder-42")
			_, bob.h = start(t, f)
			bob.is(200, "*", "GET", "/api/profile", "")
		})
	}
}

// Users with published passwords are added to a database that the run creates; to another one only
// if a flag says so.
func TestPublishedUsers_attack_343(t *testing.T) {
	db := "sqlite:" + t.TempDir() + "/db"
	for i, x := range []struct {
		flags []string
		added string
	}{{nil, "alice bob"}, {nil, ""}, {[]string{"-demo"}, "alice bob"}, {[]string{"-user", "dave:y"}, "dave"}} {
		store, _ := start(t, parse(t, append(x.flags, "-db", db, "-key", keyFile(t))...))
		list, err := store.ListUsers(t.Context(), "", 10)
		var added []string
		for _, u := range list {
			added = append(added, u.Name)
			err = errors.Join(err, store.DeleteUser(t.Context(), u.ID))
		}
		if strings.Join(added, " ") != x.added || err != nil {
			t.Errorf("run %d: added %q, want %q, %v", i, added, x.added, err)
		}
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                                "",
		"-addr unix:/run/s":               "",
		"-login-rate off":                 "",
		"-user a:b:x,y":                   "",
		"-user secret-word":               "must be name:password[:role,…]",
		"-user :secret-word":              "must be name:password[:role,…]",
		"-addr unix:":                     "must be unix:PATH",
		"-addr 8080":                      "must be host:port",
		"-addr 127.0.0.1:nosuchport":      "must be host:port",
		"-login-rate 10/h":                "number for each minute",
		"-login-rate x":                   "-login-rate",
		"-db mysql://u:secret-word@h/db":  "byurl",
		"-user secret-word -addr unix:":   "must be unix:PATH",
		"-user secret-word -user alice:x": "must be name:password",
	} {
		f := parse(t, strings.Fields(args)...)
		err := f.check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: the error quotes a secret: %v", args, err)
		}
	}
	f := parse(t, "-db", "postgres://127.0.0.1/x")
	t.Setenv("VESTIBULE_KEY", "")
	if _, err := f.ring(); err == nil {
		t.Error("a master key for PostgreSQL is created")
	}
}

// -login-rate off switches the limits off, and nothing else does.
func TestLoginRate(t *testing.T) {
	for rate, limited := range map[string]bool{"off": false, "2/m": true} {
		_, h := start(t, parse(t, "-db", "sqlite::memory:", "-login-rate", rate))
		codes := map[int]bool{}
		for range 5 {
			r, w := httptest.NewRequest("POST", "http://127.0.0.1:8080/api/auth-token", strings.NewReader("username=alice&password=x")), httptest.NewRecorder()
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			h.ServeHTTP(w, r)
			codes[w.Code] = true
		}
		if codes[429] != limited || !codes[401] {
			t.Errorf("%s: %v", rate, codes)
		}
	}
}

// A store that fails is 503 at each endpoint that reads it.
func TestFault(t *testing.T) {
	db, h := start(t, parse(t, "-db", "sqlite::memory:"))
	alice := logIn(t, h, "/api/auth-token", "alice", "wonderland-42")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	alice.is(503, "*", "GET", "/api/profile", "")
	alice.is(503, "*", "GET", "/healthz", "")
	alice.is(503, "*", "POST", "/api/logout", "")
}
