package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

func TestRoutes(t *testing.T) {
	a, err := newApp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h, err := handler(routes(a))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	_, body := call(t, "POST", server.URL+"/login", `{"username": "alice", "password": "wonderland-42"}`, "Knox expired") // does not block a login
	var login struct{ Token string }
	if err := json.Unmarshal([]byte(body), &login); err != nil || login.Token == "" {
		t.Fatalf("login: %v %s", err, body)
	}
	alice := "Knox " + login.Token
	for _, c := range []struct {
		path, credentials string
		want              int
	}{
		{"/healthz", "", http.StatusOK},
		{"/notes", "", http.StatusUnauthorized},
		{"/notes", "Knox wrong", http.StatusUnauthorized},
		{"/notes", alice, http.StatusOK},
		{"/notes/1", "", http.StatusUnauthorized},
		{"/notes/1", alice, http.StatusOK},
		{"/notes/2", alice, http.StatusNotFound}, // bob's
		{"/notes/9", alice, http.StatusNotFound},
		{"/notes/1%2f", alice, http.StatusBadRequest}, // the router and the handler could read it differently
		{"/none", alice, http.StatusNotFound},
	} {
		if status, body := call(t, "GET", server.URL+c.path, "", c.credentials); status != c.want {
			t.Errorf("%s with %q: %d %s, want %d", c.path, c.credentials, status, body, c.want)
		}
	}
}

// #region forgotten

// A route that was registered without a permission is an error: the program does not start.
func TestForgottenRoute(t *testing.T) {
	a, err := newApp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := routes(a)
	r.GET("/forgotten", echo.WrapHandler(http.HandlerFunc(a.list)))
	if _, err := handler(r); err == nil || !strings.Contains(err.Error(), `"GET /forgotten" has no permission`) {
		t.Errorf("the audit returns %v", err)
	}
}

// #endregion forgotten

func call(t *testing.T, method, url, body, credentials string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if credentials != "" {
		r.Header.Set("Authorization", credentials)
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
