package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

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
	h, err := newServer(t.Context(), db)
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
	response, err := http.DefaultTransport.RoundTrip(r)
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
