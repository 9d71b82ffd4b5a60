package openid_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/openid"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// counted counts the requests that wait for an answer of a page.
type counted struct {
	oauthtest.Store
	created int
}

func (c *counted) CreateAuthRequest(ctx context.Context, a storage.AuthRequest) error {
	c.created++
	return c.Store.CreateAuthRequest(ctx, a)
}

// The page of an application asks whether to log out, with the headers of ours. A panic in it is a
// 500 that shows, stores and logs nothing of the page, and ends no session.
func TestRenderLogout(t *testing.T) {
	s, panics := &counted{Store: memory.New(nil)}, true
	var got openid.LogoutPage
	p := oauthtest.NewProvider(t, s, jose.ES256, func(o *oauthtest.Options) {
		o.OpenID.Render = func(w http.ResponseWriter, _ *http.Request, l openid.LogoutPage) {
			got = l
			w.Header().Set("X-Half", "done")
			_, _ = w.Write([]byte("own page " + l.Handle))
			if panics {
				panic("hush " + l.Handle)
			}
		}
	})
	var log strings.Builder
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))

	s.created = 0
	rec := p.LogsOut("s1", "client_id=app", "")
	if rec.Code != 500 || rec.Header().Get("X-Half") != "" || strings.Contains(rec.Body.String(), "own page") || s.created != 0 || p.Ended != 0 || got.Handle == "" {
		t.Errorf("%d %v %s, %d stored, %d ended, %+v", rec.Code, rec.Header(), rec.Body, s.created, p.Ended, got)
	}
	if text := log.String(); !strings.Contains(text, "openid.Options.RenderLogout") || strings.Contains(text, "hush") || strings.Contains(text, got.Handle) {
		t.Errorf("the log: %s", text)
	}

	panics = false
	rec = p.LogsOut("s1", "client_id=app", "")
	if rec.Code != 200 || rec.Body.String() != "own page "+got.Handle || rec.Header().Get("X-Half") != "done" || got.User != "alice" || s.created != 1 {
		t.Errorf("%d %s %+v, %d stored", rec.Code, rec.Body, got, s.created)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "same-origin",
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
	} {
		if rec.Header().Get(name) != want {
			t.Errorf("%s: %q, want %q", name, rec.Header().Get(name), want)
		}
	}
	if rec := p.LogsOut("s1", "", "decision=logout&handle="+got.Handle); rec.Code != 200 || p.Ended != 1 {
		t.Errorf("%d %s, %d ended", rec.Code, rec.Body, p.Ended)
	}
}
