package health_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/observe/health"
)

// The text of an error, which names hosts, reaches no body.
var errDown = errors.New("dial tcp db-primary.internal:5432: password=hunter2")

func TestAnswers(t *testing.T) {
	t.Run("attack_477", func(t *testing.T) {
		good := health.Checks{
			Store:  func(context.Context) error { return nil },
			Schema: func(context.Context) (int, int, error) { return 18, 18, nil },
			Cache:  func() bool { return true }, Limits: func() bool { return true },
			Pool:  func() sql.DBStats { return sql.DBStats{MaxOpenConnections: 20, OpenConnections: 3, InUse: 1, Idle: 2} },
			Audit: func() (int, uint64) { return 4, 5 },
		}
		const pool = `"pool":{"open":3,"in_use":1,"idle":2,"max":20,"waits":0},"audit":{"waiting":4,"dropped":5}}`
		for name, x := range map[string]struct {
			change      func(*health.Checks)
			live, ready int
			body        string // of Ready
		}{
			"good":      {func(*health.Checks) {}, 200, 200, `{"status":"ok","store":"ok","schema":"ok","cache":"ok","limits":"ok",` + pool},
			"blind":     {func(c *health.Checks) { c.Cache = func() bool { return false } }, 200, 200, `{"status":"degraded","store":"ok","schema":"ok","cache":"bypassed","limits":"ok",` + pool},
			"fallback":  {func(c *health.Checks) { c.Limits = func() bool { return false } }, 200, 200, `{"status":"degraded","store":"ok","schema":"ok","cache":"ok","limits":"in memory",` + pool},
			"down":      {func(c *health.Checks) { c.Store = func(context.Context) error { return errDown } }, 503, 503, `{"status":"unavailable","store":"unavailable","cache":"ok","limits":"ok",` + pool},
			"old":       {func(c *health.Checks) { c.Schema = func(context.Context) (int, int, error) { return 17, 18, nil } }, 200, 503, `{"status":"unavailable","store":"ok","schema":"outdated","cache":"ok","limits":"ok",` + pool},
			"newer":     {func(c *health.Checks) { c.Schema = func(context.Context) (int, int, error) { return 19, 18, nil } }, 200, 200, `{"status":"degraded","store":"ok","schema":"newer","cache":"ok","limits":"ok",` + pool},
			"no answer": {func(c *health.Checks) { c.Schema = func(context.Context) (int, int, error) { return 0, 0, errDown } }, 200, 503, `{"status":"unavailable","store":"ok","schema":"unknown","cache":"ok","limits":"ok",` + pool},
			"nothing":   {func(c *health.Checks) { *c = health.Checks{} }, 200, 200, `{"status":"ok"}`},
		} {
			c := good
			x.change(&c)
			for i, one := range []struct {
				h    http.Handler
				want int
			}{{health.Live(c), x.live}, {health.Ready(c), x.ready}} {
				w := httptest.NewRecorder()
				one.h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				body := strings.TrimSpace(w.Body.String())
				if w.Code != one.want || w.Header().Get("Cache-Control") != "no-store" || (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
					t.Errorf("%s: %d, %v", name, w.Code, w.Header())
				}
				if i == 1 && body != x.body {
					t.Errorf("%s: %s\nwant %s", name, body, x.body)
				}
				live := map[string]string{"blind": `{"status":"ok","cache":"bypassed"}`, "fallback": `{"status":"ok","limits":"in memory"}`, "down": `{"status":"unavailable","store":"unavailable"}`}
				if want := cmp.Or(live[name], `{"status":"ok"}`); i == 0 && body != want {
					t.Errorf("%s: live: %s\nwant %s", name, body, want)
				}
				for _, secret := range []string{"hunter2", "internal", "5432", "dial"} {
					if strings.Contains(body, secret) {
						t.Errorf("%s: %q in %s", name, secret, body)
					}
				}
			}
		}
	})
}

func TestMethods(t *testing.T) {
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "DELETE": 405} {
		w := httptest.NewRecorder()
		health.Ready(health.Checks{}).ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		if w.Code != want {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// A store that hangs is unavailable, at the latest when the caller has left.
func TestHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	health.Ready(health.Checks{Store: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	if w.Code != 503 {
		t.Error(w.Code)
	}
}
