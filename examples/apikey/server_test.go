package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/examples/apikey/apikey"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// site is a running server.
type site struct {
	t    *testing.T
	url  string
	path string // of the SQLite file
	db   *cached.Store
	late atomic.Int64 // seconds that the clock is ahead
}

func start(t *testing.T) *site {
	s := &site{t: t, path: t.TempDir() + "/db"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	clock := func() time.Time { return time.Now().Add(time.Duration(s.late.Load()) * time.Second) }
	file, err := sqlite.Open(s.path, &gormstore.Options{Clock: clock})
	must(err)
	t.Cleanup(func() { file.Close() })
	must(file.Migrate(t.Context()))
	s.db, err = cached.New(file, &cached.Options{Clock: clock})
	must(err)
	ring, err := keys.NewRing(keys.Generate())
	must(err)
	hasher, err := password.NewHasher(nil)
	must(err)
	h, err := server(t.Context(), s.db, ring, hasher, clock, true)
	must(err)
	web := httptest.NewServer(slashless(h))
	t.Cleanup(web.Close)
	s.url = web.URL
	return s
}

// do sends a request; as is "name:password", a key, or "".
func (s *site) do(method, path, body, as string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if name, pw, ok := strings.Cut(as, ":"); ok {
		r.SetBasicAuth(name, pw)
	} else if as != "" {
		r.Header.Set("X-API-Key", as)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func (s *site) is(want int, method, path, body, as string) string {
	s.t.Helper()
	status, text := s.do(method, path, body, as)
	if status != want {
		s.t.Errorf("%s %s: %d %s, want %d", method, path, status, text, want)
	}
	return text
}

const (
	alice, bob = "alice:wonderland-42", "bob:bob-the-builder-42"
	full       = `{"full":true}`
)

// issue returns the text and the ID of a new key.
func (s *site) issue(body, as string) (key, id string) {
	s.t.Helper()
	var answer struct{ Key, ID string }
	text := s.is(200, "POST", "/keys", body, as)
	if err := json.Unmarshal([]byte(text), &answer); err != nil || !strings.HasPrefix(answer.Key, "acme_") || len(answer.ID) != 32 {
		s.t.Fatalf("%v: %s", err, text)
	}
	return answer.Key, answer.ID
}

func TestKeys(t *testing.T) {
	s := start(t)
	key, id := s.issue(`{"name":"robot","full":true}`, alice)
	bobs, _ := s.issue(full, bob)
	const profile = `{"email":"alice@example.com","scheme":"apikey","username":"alice"}`
	if got := s.is(200, "GET", "/api/profile/", "", key); got != profile {
		t.Error(got)
	}
	s.is(401, "GET", "/api/profile", "", "")
	if got := s.is(401, "GET", "/api/profile", "", key+"x"); got != `{"detail":"Invalid API key."}` {
		t.Error(got)
	}
	if list := s.is(200, "GET", "/keys", "", alice); !strings.Contains(list, id) || !strings.Contains(list, `"name":"robot"`) || strings.Contains(list, "acme_") || strings.Count(list, `"id"`) != 1 {
		t.Error(list)
	}
	if list := s.is(200, "GET", "/keys", "", key); !strings.Contains(list, `"current":true`) {
		t.Error(list)
	}
	// A key creates no keys, and somebody else's key is not found.
	s.is(403, "POST", "/keys", "", key)
	s.is(404, "DELETE", "/keys/"+id, "", bob)
	s.is(204, "DELETE", "/keys/"+id, "", alice)
	s.is(401, "GET", "/api/profile", "", key)
	s.is(404, "DELETE", "/keys/"+id, "", alice)
	s.is(200, "GET", "/api/profile", "", bobs)
	s.is(401, "POST", "/keys", "", "")
	s.is(401, "POST", "/keys", "", "alice:looking-glass-42")
	for _, bad := range []string{`{"ttl":"0"}`, `{"ttl":"x"}`, `{"scopes":"a\"b"}`, `{"name":"a\u0000"}`, `{"ttl":31536001}`, `[]`} {
		s.is(400, "POST", "/keys", bad, alice)
	}
	s.is(200, "GET", "/healthz", "", "")
}

func TestScopes(t *testing.T) {
	s := start(t)
	may, _ := s.issue(`{"scopes":"profile other"}`, alice)
	may2, _ := s.issue(`{"scopes":"other"}`, alice)
	s.is(200, "GET", "/api/profile", "", may)
	s.is(403, "GET", "/api/profile", "", may2)
	s.is(403, "GET", "/keys", "", may) // a limited key manages nothing
	s.is(403, "POST", "/logout-everywhere", "", may)
}

// A request that names no scopes, whatever it has instead, gets a key that may do nothing. Full
// rights have a field of their own.
func TestNoScopesAreNoRights_attack_318(t *testing.T) {
	s := start(t)
	for _, body := range []string{
		"", "{}", `{"scopes":""}`, `{"scopes":"  "}`, `{"scopes":null}`, `{"scope":"profile"}`, `{"Scopes":"profile"}`,
		`{"full":false}`, `{"full":null}`, `{"full":""}`, `{"Full":true}`, `{"scopes":"","full":false}`,
	} {
		key, id := s.issue(body, alice)
		for _, path := range []string{"GET /api/profile", "GET /keys", "DELETE /keys/" + id, "POST /logout-everywhere"} {
			method, path, _ := strings.Cut(path, " ")
			if status, text := s.do(method, path, "", key); status != 403 {
				t.Errorf("%s: %s %s: %d %s", body, method, path, status, text)
			}
		}
	}
	if list := s.is(200, "GET", "/keys", "", alice); strings.Contains(list, `"scopes":null`) {
		t.Error(list)
	}
	s.is(400, "POST", "/keys", `{"scopes":"profile","full":true}`, alice)
	s.is(400, "POST", "/keys", `{"full":"perhaps"}`, alice)
	key, _ := s.issue(full, alice)
	s.is(200, "GET", "/api/profile", "", key)
	s.is(200, "GET", "/keys", "", key)
}

// The demo users, whose passwords are published, are not added to a database of one's own.
func TestDemoUsers_attack_318(t *testing.T) {
	for _, demo := range []bool{true, false} {
		db, err := sqlite.Open(t.TempDir()+"/db", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		fast, err := cached.New(db, nil)
		if err := errors.Join(err, db.Migrate(t.Context())); err != nil {
			t.Fatal(err)
		}
		ring, _ := keys.NewRing(keys.Generate())
		hasher, _ := password.NewHasher(nil)
		if _, err := server(t.Context(), fast, ring, hasher, time.Now, demo); err != nil {
			t.Fatal(err)
		}
		for name := range demoUsers {
			if _, err := db.UserByName(t.Context(), name); (err == nil) != demo || err != nil && !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("demo %t: %s: %v", demo, name, err)
			}
		}
	}
}

func TestExpiry(t *testing.T) {
	s := start(t)
	short, _ := s.issue(`{"ttl":60,"full":"on"}`, alice)
	long, _ := s.issue(full, alice)
	for range 3 {
		s.is(200, "GET", "/api/profile", "", short)
	}
	s.late.Store(60)
	s.is(401, "GET", "/api/profile", "", short)
	s.is(200, "GET", "/api/profile", "", long)
	if n := s.records(); n != 2 {
		t.Errorf("%d records", n)
	}
	s.late.Store(60 + int64(storage.PruneMargin/time.Second)) // prune leaves a margin
	if _, err := storage.PruneAll(t.Context(), time.Now().Add(time.Hour), s.db); err != nil {
		t.Fatal(err)
	}
	if n := s.records(); n != 1 {
		t.Errorf("%d records after pruning", n)
	}
	s.is(200, "GET", "/api/profile", "", long)
}

// records counts alice's keys, expired ones included.
func (s *site) records() int {
	s.t.Helper()
	u, err := s.db.UserByName(context.Background(), "alice")
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := s.db.ListCredentials(context.Background(), apikey.Purpose, u.ID, 100)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

func TestLogoutEverywhere(t *testing.T) {
	s := start(t)
	one, _ := s.issue(full, alice)
	two, _ := s.issue(full, alice)
	bobs, _ := s.issue(full, bob)
	for _, key := range []string{one, two, bobs, one, two, bobs} { // from the second time on they are kept
		s.is(200, "GET", "/api/profile", "", key)
	}
	s.is(204, "POST", "/logout-everywhere", "", one)
	s.is(401, "GET", "/api/profile", "", one)
	s.is(401, "GET", "/api/profile", "", two)
	s.is(200, "GET", "/api/profile", "", bobs)
	if again, _ := s.issue(full, alice); again != "" {
		s.is(200, "GET", "/api/profile", "", again)
	}
}

// The command vestibule knows nothing of this scheme, and lists, revokes and prunes its keys.
func TestCommand(t *testing.T) {
	s := start(t)
	kept, id := s.issue(`{"name":"robot","full":true}`, alice)
	s.late.Store(-7200)
	_, old := s.issue(`{"ttl":1}`, alice)
	s.late.Store(0)
	vestibule := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("go", append([]string{"run", "./cmd/vestibule"}, args...)...)
		cmd.Dir, cmd.Env = "../..", append(os.Environ(), "VESTIBULE_DB=sqlite:"+s.path)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if list := vestibule("credential", "list", "alice"); !strings.Contains(list, "apikey") || !strings.Contains(list, id) || !strings.Contains(list, old) || !strings.Contains(list, "robot") || strings.Contains(list, "acme_") {
		t.Error(list)
	}
	vestibule("prune")
	if list := vestibule("credential", "list", "-purpose", "apikey", "alice"); strings.Contains(list, old) || !strings.Contains(list, id) {
		t.Errorf("after prune:\n%s", list)
	}
	vestibule("credential", "revoke", "-purpose", "apikey", "-id", id, "alice")
	s.is(401, "GET", "/api/profile", "", kept)
}

// The whole program starts, says where it listens, and stops.
func TestRun(t *testing.T) {
	stop, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	socket := "unix:" + t.TempDir() + "/s"
	path := t.TempDir() + "/db"
	go func() { ended <- run(stop, socket, "sqlite:"+path, "") }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(socket, "unix:"))
	}}}
	for {
		resp, err := client.Get("http://unix/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Error(resp.Status)
			}
			break
		}
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	db, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if users, err := db.ListUsers(t.Context(), "", 1); err != nil || len(users) != 0 {
		t.Errorf("users of a database that is not the demo's: %v, %v", users, err)
	}
	if err := run(t.Context(), "127.0.0.1:0", "postgres://localhost/none", ""); err == nil || !strings.Contains(err.Error(), "master key") {
		t.Errorf("PostgreSQL without a key: %v", err)
	}
}
