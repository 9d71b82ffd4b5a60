package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	neturl "net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// #region production

// TestProduction sends requests as a proxy that terminates TLS does.
func TestProduction(t *testing.T) {
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	db := open(t)
	h, err := newServer(t.Context(), config{origin: "https://notes.example", proxies: []string{"127.0.0.1"}}, db, ring)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	login := func(scheme string) (int, http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/login", strings.NewReader("username=alice&password=wonderland-42"))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "notes.example"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://notes.example")
		r.Header.Set("X-Forwarded-Proto", scheme)
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode, response.Header
	}
	user(t, start(t, db), "alice", "wonderland-42")

	status, header := login("https")
	if cookies := header.Values("Set-Cookie"); status != http.StatusSeeOther || !strings.Contains(strings.Join(cookies, "\n"), "__Host-session=") {
		t.Errorf("login over https: %d %v", status, header)
	}
	if status, header := login("http"); status != http.StatusForbidden || header.Get("Set-Cookie") != "" {
		t.Errorf("login over http: %d %v", status, header)
	}
}

// TestDatabaseDown: an outage is 503, never 401 and never an empty list.
func TestDatabaseDown(t *testing.T) {
	db := open(t)
	url := start(t, db)
	alice := user(t, url, "alice", "wonderland-42")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/notes", "/healthz"} {
		if status, body := call(t, "GET", url+path, "", "Authorization", alice); status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// #endregion production

// #region devices

func TestDevices(t *testing.T) {
	url := start(t, open(t))
	phone := user(t, url, "alice", "wonderland-42")
	laptop := token(t, url, `{"username": "alice", "password": "wonderland-42", "name": "laptop"}`)

	var devices []struct {
		ID, Name string
		Current  bool
	}
	status, body := call(t, "GET", url+"/api/devices", "", "Authorization", phone)
	if err := json.Unmarshal([]byte(body), &devices); err != nil || len(devices) != 2 || devices[0].Name != "laptop" || devices[0].Current {
		t.Fatalf("devices: %d %s", status, body)
	}
	if status, body := call(t, "DELETE", url+"/api/devices/"+devices[0].ID, "", "Authorization", phone); status != http.StatusNoContent {
		t.Errorf("revoke the laptop: %d %s", status, body)
	}
	if status, body := call(t, "GET", url+"/api/notes", "", "Authorization", laptop); status != http.StatusUnauthorized {
		t.Errorf("the revoked laptop: %d %s", status, body)
	}
	if status, body := call(t, "POST", url+"/api/logout-everywhere", "", "Authorization", phone); status != http.StatusNoContent {
		t.Errorf("log out everywhere: %d %s", status, body)
	}
	if status, body := call(t, "GET", url+"/api/notes", "", "Authorization", phone); status != http.StatusUnauthorized {
		t.Errorf("the phone after that: %d %s", status, body)
	}
}

func TestGuessing(t *testing.T) {
	url := start(t, open(t))
	user(t, url, "alice", "wonderland-42")
	last := 0
	for range 50 {
		if last, _ = call(t, "POST", url+"/api/login", `{"username": "carol", "password": "guess"}`); last == http.StatusTooManyRequests {
			break
		}
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("guesses without end: the last answer is %d", last)
	}
	token(t, url, `{"username": "alice", "password": "wonderland-42"}`) // others can still log in
}

// #endregion devices

// #region browser

func TestBrowser(t *testing.T) {
	url := start(t, open(t))
	alice := user(t, url, "alice", "wonderland-42")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	form := func(path string, values neturl.Values, origin string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", url+path, strings.NewReader(values.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
		return send(t, browser, r)
	}

	status, body := form("/login", neturl.Values{"username": {"alice"}, "password": {"wonderland-42"}}, url)
	if status != http.StatusOK || !strings.Contains(body, "Notes of alice") {
		t.Fatalf("login: %d %s", status, body)
	}
	status, body = form("/notes", neturl.Values{"text": {"<script>"}}, url)
	if status != http.StatusOK || !strings.Contains(body, "&lt;script&gt;") {
		t.Errorf("new note: %d %s", status, body)
	}
	if status, body := form("/notes", neturl.Values{"text": {"spam"}}, "https://evil.example"); status != http.StatusForbidden {
		t.Errorf("a form of another site: %d %s", status, body)
	}
	if _, body := call(t, "GET", url+"/api/notes", "", "Authorization", alice); strings.Contains(body, "spam") {
		t.Errorf("another site added a note: %s", body)
	}
	status, body = form("/logout", nil, url)
	if status != http.StatusOK || !strings.Contains(body, "password") {
		t.Errorf("logout: %d %s", status, body)
	}
}

// #endregion browser

// #region object

func TestOwners(t *testing.T) {
	db := open(t)
	url := start(t, db)
	alice, bob := user(t, url, "alice", "wonderland-42"), user(t, url, "bob", "bob-the-builder-42")
	if status, body := call(t, "POST", url+"/api/notes", `{"text": "milk"}`, "Authorization", alice); status != http.StatusCreated {
		t.Fatalf("create: %d %s", status, body)
	}
	// An administrator is created in code or by the command "vestibule", never by registration.
	hasher, err := password.NewHasher(nil)
	if err != nil {
		t.Fatal(err)
	}
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := passwords.Register(t.Context(), password.NewUser{Name: "root", Password: "looking-glass-42", Roles: []string{"admin"}}); err != nil {
		t.Fatal(err)
	}
	admin := token(t, url, `{"username": "root", "password": "looking-glass-42"}`)

	for _, c := range []struct {
		who, method, body, credentials string
		want                           int
	}{
		{"anonymous", "GET", "", "", http.StatusUnauthorized},
		{"bob", "GET", "", bob, http.StatusNotFound},
		{"bob", "PUT", `{"text": "beer"}`, bob, http.StatusNotFound},
		{"bob", "DELETE", "", bob, http.StatusNotFound},
		{"alice", "GET", "", alice, http.StatusOK},
		{"alice", "PUT", `{"text": "tea"}`, alice, http.StatusOK},
		{"alice", "PUT", `{"text": ""}`, alice, http.StatusBadRequest},
		{"admin", "GET", "", admin, http.StatusOK},
		{"admin", "DELETE", "", admin, http.StatusNoContent},
		{"alice", "GET", "", alice, http.StatusNotFound},
	} {
		var headers []string
		if c.credentials != "" {
			headers = []string{"Authorization", c.credentials}
		}
		if status, body := call(t, c.method, url+"/api/notes/1", c.body, headers...); status != c.want {
			t.Errorf("%s %s: %d %s, want %d", c.who, c.method, status, body, c.want)
		}
	}
}

// #endregion object

// #region test

func TestNotes(t *testing.T) {
	db := open(t)
	url := start(t, db)
	alice, bob := user(t, url, "alice", "wonderland-42"), user(t, url, "bob", "bob-the-builder-42")

	if status, body := call(t, "GET", url+"/api/notes", ""); status != http.StatusUnauthorized {
		t.Errorf("anonymous: %d %s", status, body)
	}
	if status, body := call(t, "POST", url+"/api/notes", `{"text": "milk"}`, "Authorization", alice); status != http.StatusCreated {
		t.Errorf("create: %d %s", status, body)
	}
	if status, body := call(t, "GET", url+"/api/notes", "", "Authorization", bob); status != http.StatusOK || body != "[]\n" {
		t.Errorf("bob sees %d %s", status, body)
	}
	if status, body := call(t, "POST", url+"/api/register", `{"username": "Alice", "password": "wonderland-42"}`); status != http.StatusBadRequest {
		t.Errorf("the same name again: %d %s", status, body)
	}

	// The accounts, tokens and notes outlive the server.
	again := start(t, db)
	if _, body := call(t, "GET", again+"/api/notes", "", "Authorization", alice); body != `[{"id":1,"text":"milk"}]`+"\n" {
		t.Errorf("after a restart: %s", body)
	}
}

// #endregion test

// open creates a database for one test.
func open(t *testing.T) *gormstore.Store {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "notes.sqlite3"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// start serves the application until the test ends, and returns its address.
func start(t *testing.T, db *gormstore.Store) string {
	t.Helper()
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	h, err := newServer(t.Context(), config{}, db, ring)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// user registers a user and returns the Authorization header of a login.
func user(t *testing.T, url, name, password string) string {
	t.Helper()
	credentials := `{"username": "` + name + `", "password": "` + password + `"}`
	if status, body := call(t, "POST", url+"/api/register", credentials); status != http.StatusCreated {
		t.Fatalf("register: %d %s", status, body)
	}
	return token(t, url, credentials)
}

// token logs in and returns the Authorization header.
func token(t *testing.T, url, credentials string) string {
	t.Helper()
	status, body := call(t, "POST", url+"/api/login", credentials)
	var login struct{ Token string }
	if err := json.Unmarshal([]byte(body), &login); err != nil || status != http.StatusOK {
		t.Fatalf("login: %d %s", status, body)
	}
	return "Knox " + login.Token
}

// call sends a request with a JSON body and headers (name, value, …).
func call(t *testing.T, method, url, body string, headers ...string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return send(t, http.DefaultClient, r)
}

func send(t *testing.T, client *http.Client, r *http.Request) (status int, body string) {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// An account cannot fill the disk with notes.
func TestMaxNotes(t *testing.T) {
	db := open(t)
	url := start(t, db)
	alice, bob := user(t, url, "alice", "wonderland-42"), user(t, url, "bob", "bob-the-builder-42")
	for i, want := range []int{http.StatusCreated, http.StatusForbidden} {
		if status, body := call(t, "POST", url+"/api/notes", `{"text": "milk"}`, "Authorization", alice); status != want {
			t.Errorf("note %d: %d %s, want %d", i, status, body, want)
		}
		if i > 0 {
			continue
		}
		var first Note
		if err := db.DB(t.Context()).First(&first).Error; err != nil {
			t.Fatal(err)
		}
		for range maxNotes - 1 {
			if err := db.DB(t.Context()).Create(&Note{Owner: first.Owner, Text: "x"}).Error; err != nil {
				t.Fatal(err)
			}
		}
	}
	if status, body := call(t, "POST", url+"/api/notes", `{"text": "milk"}`, "Authorization", bob); status != http.StatusCreated {
		t.Errorf("another account: %d %s", status, body)
	}
}
