package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func start(t *testing.T) (*gormstore.Store, string) {
	t.Helper()
	db, err := open(t.Context(), filepath.Join(t.TempDir(), "people.sqlite3"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	h, err := newServer(db)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return db, server.URL
}

// A row that another program wrote, with a bcrypt hash, logs in; the hash is upgraded.
func TestExistingRow(t *testing.T) {
	db, address := start(t)
	hash, err := bcrypt.GenerateFromPassword([]byte("wonderland-42"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.DB(t.Context()).Create(&Person{Email: "old@example.com", PasswordHash: string(hash), Plan: "gold"}).Error; err != nil {
		t.Fatal(err)
	}
	token := logIn(t, address, " Old@Example.COM ")
	if status, body := call(t, "GET", address+"/me", token, nil); status != http.StatusOK || !strings.Contains(body, "gold") {
		t.Errorf("me: %d %s", status, body)
	}
	var row Person
	if err := db.DB(t.Context()).First(&row, "email = ?", "old@example.com").Error; err != nil || !strings.HasPrefix(row.PasswordHash, "$argon2id$") {
		t.Errorf("the hash is %.10q, %v", row.PasswordHash, err)
	}
	// Banned by a statement of our own: the next request is rejected.
	if err := db.DB(t.Context()).Model(&row).Update("banned", true).Error; err != nil {
		t.Fatal(err)
	}
	if status, body := call(t, "GET", address+"/me", token, nil); status != http.StatusUnauthorized {
		t.Errorf("banned: %d %s", status, body)
	}
}

func TestRegistration(t *testing.T) {
	db, address := start(t)
	register := func(email, password string) (int, string) {
		t.Helper()
		return call(t, "POST", address+"/register", "", url.Values{"email": {email}, "password": {password}})
	}
	for email, password := range map[string]string{"no address": "wonderland-42", "alice@example.com": "password", "": "wonderland-42"} {
		if status, body := register(email, password); status != http.StatusBadRequest {
			t.Errorf("%q %q: %d %s", email, password, status, body)
		}
	}
	// Two requests at once: one wins.
	var wait sync.WaitGroup
	var mu sync.Mutex
	count := map[int]int{}
	for range 2 {
		wait.Go(func() {
			status, _ := register("O'Brien@example.com", "wonderland-42")
			mu.Lock()
			defer mu.Unlock()
			count[status]++
		})
	}
	wait.Wait()
	if count[http.StatusCreated] != 1 || count[http.StatusBadRequest] != 1 {
		t.Fatalf("two registrations of one address: %v", count)
	}
	// After the deletion no token works, and the address belongs to a new account.
	token := logIn(t, address, "o'brien@example.com")
	if status, body := call(t, "DELETE", address+"/me", token, nil); status != http.StatusNoContent {
		t.Fatalf("delete: %d %s", status, body)
	}
	if status, body := call(t, "GET", address+"/me", token, nil); status != http.StatusUnauthorized {
		t.Errorf("a deleted person: %d %s", status, body)
	}
	if status, body := register("o'brien@example.com", "wonderland-43"); status != http.StatusCreated {
		t.Errorf("register again: %d %s", status, body)
	}
	if status, body := call(t, "GET", address+"/me", token, nil); status != http.StatusUnauthorized {
		t.Errorf("the old token and the new account: %d %s", status, body)
	}
	if err := db.CheckSchema(t.Context()); err != nil {
		t.Error(err)
	}
}

// A row that could never log in is found at start.
func TestNotCanonical(t *testing.T) {
	db, _ := start(t)
	if err := db.DB(t.Context()).Create(&Person{Email: "Mixed@Example.com", PasswordHash: "!"}).Error; err != nil {
		t.Fatal(err)
	}
	if err := db.CheckSchema(t.Context()); err == nil {
		t.Error("the check does not report a name in mixed case")
	}
}

func logIn(t *testing.T, address, email string) (token string) {
	t.Helper()
	status, body := call(t, "POST", address+"/login", "", url.Values{"email": {email}, "password": {"wonderland-42"}})
	var answer struct{ Token string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		t.Fatalf("login: %d %s", status, body)
	}
	return answer.Token
}

func call(t *testing.T, method, target, token string, form url.Values) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Knox "+token)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(text)
}
