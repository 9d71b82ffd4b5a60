package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/keys"
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
