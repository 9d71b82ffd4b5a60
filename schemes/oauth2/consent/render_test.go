package consent_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// defaultLog redirects the log of the process, which pages without a middleware write to.
func defaultLog(t *testing.T) *strings.Builder {
	t.Helper()
	var log strings.Builder
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	return &log
}

// The pages of an application are used for devices and grants, with the headers of ours. A panic in
// one is a 500 that shows, stores and logs nothing of the page; afterwards the page works.
func TestRenderDeviceAndGrants(t *testing.T) {
	s, panics := &requests{Store: memory.New(nil)}, false
	var device consent.DevicePage
	var grants consent.GrantsView
	own := func(w http.ResponseWriter, secrets ...string) {
		w.Header().Set("X-Half", "done")
		_, _ = w.Write([]byte("own page " + strings.Join(secrets, " ")))
		if panics {
			panic("hush " + strings.Join(secrets, " "))
		}
	}
	w := oauthtest.NewDevices(t, s, func(o *oauthtest.Options) {
		o.Token = func(authn.Identity) string { return "form-token" }
		o.RenderDevice = func(w http.ResponseWriter, _ *http.Request, d consent.DevicePage) {
			device = d
			own(w, d.Token, d.Handle, d.Code)
		}
		o.RenderGrants = func(w http.ResponseWriter, _ *http.Request, g consent.GrantsView) {
			grants = g
			own(w, g.Token, g.Clients[0].Grant)
		}
	})
	alice, b := w.Alice("s1"), w.Begin("scope", "read")
	w.Exchange("app", w.Code("app", nil))
	listed := func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		w.GrantsPage("/login").ServeHTTP(rec, authntest.As(httptest.NewRequest("GET", oauthtest.Issuer+"/oauth2/applications", nil), *alice))
		return rec
	}
	type step struct {
		name   string
		status int
		send   func() *httptest.ResponseRecorder
	}
	steps := []step{
		{"code", 200, func() *httptest.ResponseRecorder { return w.DevicePage(alice, "GET", "") }},
		{"wrong code", 400, func() *httptest.ResponseRecorder { return w.DevicePage(alice, "POST", "user_code=BCDFGHJK") }},
		{"decision", 200, func() *httptest.ResponseRecorder {
			return w.DevicePage(alice, "POST", "user_code="+url.QueryEscape(b.User))
		}},
		{"grants", 200, listed},
	}
	log := defaultLog(t)
	for _, c := range steps {
		s.changes, panics = 0, true
		device, grants = consent.DevicePage{}, consent.GrantsView{}
		rec := c.send()
		if rec.Code != 500 || rec.Header().Get("X-Half") != "" || strings.Contains(rec.Body.String(), "own page") || s.changes != 0 {
			t.Errorf("%s: %d %v %s, %d records", c.name, rec.Code, rec.Header(), rec.Body, s.changes)
		}
		if device.Token+grants.Token != "form-token" {
			t.Errorf("%s: %+v %+v", c.name, device, grants)
		}
		panics = false
		rec = c.send()
		if rec.Code != c.status || !strings.HasPrefix(rec.Body.String(), "own page form-token") || rec.Header().Get("X-Half") != "done" {
			t.Errorf("%s: %d %s", c.name, rec.Code, rec.Body)
		}
		hasHeaders(t, c.name, rec.Header())
		switch c.name {
		case "code":
			if device.Step != consent.DeviceCode || device.Problem != "" {
				t.Errorf("%+v", device)
			}
		case "wrong code":
			if device.Step != consent.DeviceCode || device.Code != "BCDF-GHJK" || device.Problem == "" {
				t.Errorf("%+v", device)
			}
		case "decision":
			if device.Step != consent.DeviceDecision || device.Code != b.User || device.Client != "Big <tv>" || device.User != "alice" || len(device.Scopes) != 1 || device.Scopes[0].Name != "read" {
				t.Errorf("%+v", device)
			}
		case "grants":
			if grants.User != "alice" || len(grants.Clients) != 1 || grants.Clients[0].Grant == "" {
				t.Errorf("%+v", grants)
			}
		}
		for _, secret := range []string{"hush", "form-token", b.User, device.Handle} {
			if secret != "" && strings.Contains(log.String(), secret) {
				t.Errorf("%s: the log has %q: %s", c.name, secret, log)
			}
		}
		if !strings.Contains(log.String(), "consent.Options.Render") {
			t.Errorf("%s: the log does not name the function: %s", c.name, log)
		}
		log.Reset()
	}
	// What the own page got continues the flow.
	w.DevicePage(alice, "POST", "user_code="+url.QueryEscape(b.User))
	if rec := w.DevicePage(alice, "POST", "decision=allow&handle="+device.Handle); rec.Code != 200 || w.Poll("tv", b.Device).Status != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// hasHeaders fails unless a page cannot be framed, cached or read by other sites, and runs no script.
func hasHeaders(t *testing.T, what string, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "same-origin",
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %s: %q, want %q", what, name, h.Get(name), want)
		}
	}
}
