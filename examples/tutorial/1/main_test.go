package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// #region test

func TestHello(t *testing.T) {
	h, err := newServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()

	if status, body := call(t, "GET", server.URL+"/api/hello", ""); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", status, body)
	}
	status, body := call(t, "POST", server.URL+"/api/login", `{"username": "alice", "password": "wonderland-42"}`)
	var login struct{ Token string }
	if err := json.Unmarshal([]byte(body), &login); err != nil || status != http.StatusOK {
		t.Fatalf("login: %d %s", status, body)
	}
	status, body = call(t, "GET", server.URL+"/api/hello", "", "Authorization", "Knox "+login.Token)
	if status != http.StatusOK || body != "Hello, alice!\n" {
		t.Errorf("with a token: %d %s", status, body)
	}
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

// #endregion test
