package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/keys"
)

func TestServer(t *testing.T) {
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	h, err := server(t.Context(), filepath.Join(t.TempDir(), "db"), ring)
	if err != nil {
		t.Fatal(err)
	}
	post := func(path, name, password string) *httptest.ResponseRecorder {
		form := url.Values{"username": {name}, "password": {password}}
		r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := post("/register", "alice", "wonderland-42"); w.Code != http.StatusCreated {
		t.Fatalf("register: %d %s", w.Code, w.Body)
	}
	if w := post("/register", "Alice", "wonderland-42"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "already exists") {
		t.Errorf("register again: %d %s", w.Code, w.Body)
	}
	w := post("/login", "alice", "wonderland-42")
	if w.Code != http.StatusOK {
		t.Fatalf("login: %d %s", w.Code, w.Body)
	}
	token := strings.Split(w.Body.String(), `"`)[3]
	r := httptest.NewRequest("GET", "/me", nil)
	r.Header.Set("Authorization", "Token "+token)
	w = httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("me: %d %s", w.Code, w.Body)
	}
}
