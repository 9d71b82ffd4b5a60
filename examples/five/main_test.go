package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

func TestFive(t *testing.T) {
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	h := server(t.Context(), t.TempDir()+"/db", ring)
	do := func(method, path, body string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}))
		r.RemoteAddr = "127.0.0.1:5"
		if body != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", "http://127.0.0.1")
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	const login = "username=alice&password=wonderland-42"
	text := func(path string) string { // the first text of the answer
		w := do("POST", path, login)
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return strings.Split(w.Body.String(), `"`)[3]
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth("alice", "wonderland-42")
	for scheme, header := range map[string][]string{
		"jwt": {"Authorization", "Bearer " + text("/jwt")}, "knox": {"Authorization", "Knox " + text("/knox")}, "token": {"Authorization", "Token " + text("/token")},
		"basic": {"Authorization", r.Header.Get("Authorization")},
	} {
		if w := do("GET", "/hello", "", header...); w.Code != 200 || w.Body.String() != "Hello, alice, by "+scheme+"!\n" {
			t.Errorf("%s: %d %s", scheme, w.Code, w.Body)
		}
		if w := do("GET", "/admin", "", header...); w.Code != 403 {
			t.Errorf("%s: alice is no administrator: %d", scheme, w.Code)
		}
	}
	w := do("POST", "/login", login)
	if cookies := w.Result().Cookies(); w.Code != 303 || len(cookies) == 0 {
		t.Errorf("the login form: %d %v %s", w.Code, w.Header(), w.Body)
	} else if w := do("GET", "/hello", "", "Cookie", cookies[0].Name+"="+cookies[0].Value); w.Body.String() != "Hello, alice, by session!\n" {
		t.Errorf("session: %d %s", w.Code, w.Body)
	}
	if w := do("GET", "/hello", ""); w.Code != 401 || len(w.Header()["Www-Authenticate"]) < 4 {
		t.Errorf("nobody: %d %v", w.Code, w.Header())
	}
}

// An account that was deleted stays deleted when the program starts again.
func TestDeletedStays(t *testing.T) {
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/db"
	for run := range 2 {
		server(t.Context(), path, ring)
		db, err := sqlite.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		u, err := db.UserByName(t.Context(), "alice")
		switch {
		case run == 0 && err == nil:
			err = db.DeleteUser(t.Context(), u.ID)
		case run == 1 && errors.Is(err, storage.ErrNotFound):
			err = nil
		}
		if err := errors.Join(err, db.Close()); err != nil || run == 1 && u.ID != "" {
			t.Fatalf("run %d: %q, %v", run, u.ID, err)
		}
	}
}

// What the README says was observed and measured is in the documents that tests and the benchmarks
// write.
func TestReadmeTables(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	readme, comparison, measured := read("../../README.md"), read("../../docs/comparison.md"), read("../../docs/benchmarks/README.md")
	rows := 0
	for line := range strings.Lines(readme) {
		if strings.HasPrefix(line, "| **") {
			if rows++; !strings.Contains(comparison, line) {
				t.Errorf("docs/comparison.md has no row %q", line)
			}
		}
	}
	if rows < 5 {
		t.Errorf("%d rows of the comparison", rows)
	}
	for label, target := range map[string]string{
		"Time of a cached token check with six schemes and a guard, against a hand-written check": "token, cached, six schemes and a guard: ≤ 1.5 × the floor",
		"Requests per second with a cached token, against a public route":                         "token, cached, over HTTP: ≥ 95 % of the rate of /api/open",
		"Requests per second with a token, not cached, against DRF":                               "token, requests/s, uncached: ≥ 10 × Django",
		"Requests per second with a cached token, against DRF":                                    "token, requests/s, cached: ≥ 20 × Django",
		"Speed of a cached OAuth 2.0 check against fosite":                                        "oauth2, cached: ≥ 5 × fosite with its store in memory",
	} {
		_, value, ok := strings.Cut(measured, "\n| "+target+" | ")
		value, _, _ = strings.Cut(value, " |")
		if !ok || !strings.Contains(readme, "\n| "+label+" | "+value+" |\n") {
			t.Errorf("%s: docs/benchmarks has %q, and the README does not", label, value)
		}
	}
}
