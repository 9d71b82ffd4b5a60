package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/labstack/echo/v4"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// echo matches the path as sent, and a file server opens the decoded one. RequirePlainPath gives both
// the same path, so an encoded letter opens no closed folder.
func TestEncodedLetters(t *testing.T) {
	files := http.FileServerFS(fstest.MapFS{"files/a.txt": {Data: []byte("open")}, "files/secret/p.txt": {Data: []byte("secret")}})
	auth := authn.New(authn.Chain{}, nil)
	r := &router{echo.New(), map[string]http.Handler{}}
	r.handle("GET", "/files/*", auth.Handler(authz.Require(authz.AllowAny).Handler(files)))
	r.handle("GET", "/files/secret/*", auth.Handler(authz.Require(authz.IsAuthenticated).Handler(files)))
	h, err := handler(r)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/files/a.txt": 200, "/files/%61.txt": 200, "/files/secret/p.txt": 403, "/files/%73ecret/p.txt": 403, "/f%69les/s%65cret/p.txt": 403} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
}
