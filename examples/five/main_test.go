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

// The programs in the README are those of the examples, line by line.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := strings.Split(string(readme), "```go\n")
	if len(programs) != 3 {
		t.Fatalf("%d programs in the README, want 2", len(programs)-1)
	}
	hello, err := os.ReadFile("../hello/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(hello)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, `"github.com/`) && !strings.Contains(string(readme), "\n"+line+"\n") {
			t.Errorf("the README does not show the import %s", line)
		}
	}
	for i, path := range []string{"../hello/main.go", "main.go"} {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		flat := func(s string) string { return strings.ReplaceAll(s, "\t", "") }
		program, _, _ := strings.Cut(programs[i+1], "```")
		for line := range strings.Lines(program) {
			if !strings.Contains(flat(string(source)), flat(line)) {
				t.Errorf("%s has no line %q", path, line)
			}
		}
	}
}

// What the README says was observed and measured stands in the documents that tests and the
// benchmarks write.
func TestReadmeTables(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	readme := read("../../README.md")
	for from, path := range map[string]string{"### How they differ\n": "../../docs/comparison.md", "## Measured\n": "../../docs/benchmarks/README.md"} {
		_, section, ok := strings.Cut(readme, from)
		section, _, _ = strings.Cut(section, "\n## ")
		document, rows := read(path), 0
		for line := range strings.Lines(section) {
			if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| ---") {
				if rows++; !strings.Contains(document, line) {
					t.Errorf("%s has no row %q", path, line)
				}
			}
		}
		if !ok || rows < 5 {
			t.Errorf("%q has %d rows", from, rows)
		}
	}
}
