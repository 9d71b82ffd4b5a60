package oauth2_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestOrigins(t *testing.T) {
	w := newWorld(t, memory.New(nil), func(o *oauth2.Options) {
		withSessions(o)
		o.Origins = []string{"https://page.example"}
	})
	endpoints := map[string]http.Handler{"token": w.Token(), "revoke": w.Revoke(), "authorize": w.Authorize("/login"), "par": w.Push(), "introspect": w.Introspect()}
	for name, h := range endpoints {
		for _, origin := range []string{"https://page.example", "https://page.example:444", "http://page.example", "null", ""} {
			r := httptest.NewRequest("OPTIONS", "/", nil)
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			r.Header.Set("Access-Control-Request-Method", "POST")
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			allowed := (name == "token" || name == "revoke") && origin == "https://page.example"
			got := rec.Header().Get("Access-Control-Allow-Origin")
			if allowed != (rec.Code == 204) || allowed != (got == origin && got != "") || rec.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s from %q: %d %v", name, origin, rec.Code, rec.Header())
			}
		}
	}
	if h := newWorld(t, memory.New(nil), nil).Token(); h == nil {
		t.Fatal()
	} else {
		r := httptest.NewRequest("OPTIONS", "/", nil)
		r.Header.Set("Origin", "https://page.example")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != 405 || rec.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("no origins: %d %v", rec.Code, rec.Header())
		}
	}
}
