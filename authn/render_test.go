package authn_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// If an error writer panics, the response is a 500 in the default format.
func TestErrorWriterPanics(t *testing.T) {
	half := func(w http.ResponseWriter, _ *http.Request, _ *authn.Error) {
		w.Header().Set("X-Half", "done")
		http.SetCookie(w, &http.Cookie{Name: "half", Value: "done"})
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("half of it"))
		panic("hush")
	}
	refusing := authn.Func(func(*http.Request) (authn.Identity, error) {
		e := authn.AuthenticationFailed("Invalid token.")
		e.Challenge = "Bearer"
		return authn.Identity{}, e
	})
	for name, c := range map[string]struct {
		opts   authn.Options
		page   bool
		accept string
	}{
		"json": {authn.Options{WriteError: half}, false, "*/*"}, "page": {authn.Options{WritePage: half}, true, "text/html"},
	} {
		t.Run("attack_245_writer_"+name, func(t *testing.T) {
			var log bytes.Buffer
			c.opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
			var h http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
			if c.page {
				h = authn.Page("/login", h)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept", c.accept)
			w := httptest.NewRecorder()
			authn.New(refusing, &c.opts).Handler(h).ServeHTTP(w, r)
			got := w.Body.String()
			if w.Code != 500 || strings.Contains(got, "half") || !strings.Contains(got, "server error") || w.Header().Get("X-Half") != "" || len(w.Header()["Set-Cookie"]) > 0 || w.Header().Get("Www-Authenticate") != "" {
				t.Errorf("%d %v %s", w.Code, w.Header(), got)
			}
			if strings.Contains(log.String()+got, "hush") || !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "panic of type string") || !strings.Contains(log.String(), "render_test.go") {
				t.Errorf("log: %s", &log)
			}
		})
	}
	t.Run("abort", func(t *testing.T) {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler {
				t.Errorf("%v", v)
			}
		}()
		m := authn.New(refusing, &authn.Options{Logger: quiet, WriteError: func(http.ResponseWriter, *http.Request, *authn.Error) { panic(http.ErrAbortHandler) }})
		m.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	})
}

func TestRender(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Cookie")
	w.Header().Set("X-Old", "1")
	err := authn.Render(w, "x", func(w http.ResponseWriter) {
		if w.Header().Get("Vary") != "Cookie" {
			t.Error("the headers are not those of the answer")
		}
		w.Header().Del("X-Old")
		w.Header().Set("X-New", "1")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("a"))
		_, _ = w.Write([]byte("b"))
	})
	if err != nil || w.Code != 202 || w.Body.String() != "ab" || w.Header().Get("Vary") != "Cookie" || w.Header().Get("X-Old") != "" || w.Header().Get("X-New") != "1" {
		t.Errorf("%v: %d %v %s", err, w.Code, w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	if err := authn.Render(w, "x", func(http.ResponseWriter) {}); err != nil || w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("nothing written: %v, %d", err, w.Code)
	}
	w = httptest.NewRecorder()
	err = authn.Render(w, "x.Options.Hook", func(w http.ResponseWriter) {
		w.Header().Set("X-New", "1")
		_, _ = w.Write([]byte("a"))
		panic(errors.New("hush"))
	})
	if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "x.Options.Hook") || len(w.Header()) > 0 || w.Body.Len() > 0 {
		t.Errorf("%v: %v %s", err, w.Header(), w.Body)
	}
}
