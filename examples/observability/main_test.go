package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// A login, a request and a logout are in the metrics, in the log and in the health check.
func TestServer(t *testing.T) {
	var log bytes.Buffer
	s, err := newServer(t.Context(), filepath.Join(t.TempDir(), "db"), slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, token, body string, want int) string {
		t.Helper()
		r := httptest.NewRequest(method, "http://127.0.0.1:8080"+path, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if token != "" {
			r.Header.Set("Authorization", "Knox "+token)
		}
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	var got struct{ Token string }
	form := url.Values{"username": {"alice"}, "password": {"wonderland-42"}}.Encode()
	if err := json.Unmarshal([]byte(ask("POST", "/login", "", form, 200)), &got); err != nil {
		t.Fatal(err)
	}
	ask("GET", "/hello", "", "", 401)
	ask("GET", "/hello", got.Token, "", 200)
	ask("POST", "/logout", got.Token, "", 204)
	ask("GET", "/hello", got.Token, "", 401)
	if body := ask("GET", "/readyz", "", "", 200); !strings.HasPrefix(body, `{"status":"ok","store":"ok","schema":"ok","cache":"ok","pool":{`) {
		t.Error(body)
	}
	ask("GET", "/healthz", "", "", 200)

	w := httptest.NewRecorder()
	s.metrics.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, series := range []string{
		`vestibule_decisions_total{code="",outcome="accepted",scheme="knox"} 1`,
		`vestibule_audit_events_total{kind="login.succeeded"} 1`,
		`vestibule_audit_events_total{kind="logout"} 1`,
		`vestibule_store_duration_seconds_count{op="INSERT vestibule_audit",outcome="ok",store="sqlite"} 3`,
	} {
		if !strings.Contains(w.Body.String(), series) {
			t.Errorf("no %s", series)
		}
	}
	if err := s.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Count(text, `"kind":"logout"`) != 1 || strings.Contains(text, got.Token) || strings.Contains(text, "wonderland") {
		t.Error(text)
	}
}
