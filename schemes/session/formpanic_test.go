package session_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A login page that panics causes a 500 that reveals nothing, and logs nobody in.
func TestLoginFormPanics(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := newApp(t, s, nil)
	var log bytes.Buffer
	h := authn.New(authn.Chain{}, &authn.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}).Public(a.x.LoginForm(password{s}, &session.FormOptions{Render: func(w http.ResponseWriter, _ *http.Request, _ session.Form) {
		w.Header().Set("X-Half", "done")
		_, _ = w.Write([]byte("half of it"))
		panic("hush")
	}}))
	for what, r := range map[string]*http.Request{
		"the form":   a.request("GET", "/login", ""),
		"once again": a.request("POST", "/login", "username=alice&password=wrong", "Content-Type", "application/x-www-form-urlencoded"),
	} {
		t.Run("attack_245_"+what, func(t *testing.T) {
			log.Reset()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 500 || w.Header().Get("X-Half") != "" || w.Header().Get("WWW-Authenticate") != "" || strings.Contains(w.Body.String(), "half") || strings.Contains(w.Body.String()+log.String(), "hush") || len(w.Result().Cookies()) > 0 {
				t.Errorf("%d %v %s %s", w.Code, w.Header(), w.Body, &log)
			}
			if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "session.FormOptions.Render") {
				t.Errorf("log: %s", &log)
			}
		})
	}
}
