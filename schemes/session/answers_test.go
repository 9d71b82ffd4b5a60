package session_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// No cache stores a response that sets a cookie. A cache that stores the response for an anonymous
// visitor does not send it to users that are logged in.
func TestCaches(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := newApp(t, s, &session.Options{Idle: time.Hour, Interval: time.Minute})
	store := a.x.Store()
	m := authn.New(authn.Chain{a.x}, nil)
	a.mux.Handle("/public", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=600")
		v, err := store.Get(r, "flash")
		if r.FormValue("end") != "" {
			v.Options.MaxAge = -1
		}
		v.Values["a"] = "b"
		if err == nil {
			err = v.Save(r, w)
		}
		if err != nil {
			t.Error(err)
		}
	})))
	fresh := a.do("GET", "/public", "")
	data := "__Host-flash=" + fresh.Result().Cookies()[0].Value
	mine := a.login("alice")
	a.c.Set(2 * time.Minute)
	for what, w := range map[string]*httptest.ResponseRecorder{
		"attack_129_login":    a.do("POST", "/login", `{"username":"alice","password":"right"}`),
		"attack_129_moved":    a.do("GET", "/", "", "Cookie", mine),
		"attack_129_refused":  a.do("GET", "/", "", "Cookie", "__Host-session=junk"),
		"attack_129_data":     fresh,
		"attack_129_data_end": a.do("GET", "/public?end=1", "", "Cookie", data),
		"attack_129_logout":   a.do("POST", "/logout", "", "Cookie", mine),
	} {
		t.Run(what, func(t *testing.T) {
			h := w.Header()
			if len(h["Set-Cookie"]) == 0 || h.Get("Cache-Control") != "no-store" || h.Get("Vary") != "Cookie" {
				t.Errorf("%d %v", w.Code, h)
			}
		})
	}
	t.Run("attack_129_anonymous", func(t *testing.T) {
		w := a.do("GET", "/", "")
		if h := w.Header(); w.Code != 200 || h.Get("Vary") != "Cookie" || h["Set-Cookie"] != nil || h["Cache-Control"] != nil {
			t.Errorf("%d %v", w.Code, h)
		}
	})
}

// The value of a session cookie occurs only in the cookie: not in a log, an event, a URL, a body or
// another header.
func TestTextIsNowhere(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		t.Run("attack_131_canary", func(t *testing.T) {
			var log bytes.Buffer
			before := slog.Default()
			slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			defer slog.SetDefault(before)
			schemetest.Add(t, s, "alice")
			a := newApp(t, s, &session.Options{Interval: session.EveryRequest})
			a.mux.Handle("/form", a.x.LoginForm(password{s}, nil))
			mine := a.login("alice")
			text := strings.TrimPrefix(mine, "__Host-session=")
			var seen strings.Builder
			note := func(w *httptest.ResponseRecorder) {
				seen.WriteString(w.Body.String())
				for name, values := range w.Header() {
					if name != "Set-Cookie" {
						seen.WriteString(strings.Join(values, " "))
					}
				}
			}
			for _, path := range []string{"/", "/sessions", "/form?next=/x", "/sessions/x"} {
				note(a.do("GET", path, "", "Cookie", mine))
				note(a.do("DELETE", path, "", "Cookie", mine))
				note(a.do("POST", path, "", "Cookie", mine, "Origin", "https://evil.example"))
				note(a.do("GET", path, "", "Cookie", mine+"; "+mine))
				note(a.do("GET", path, "", "Cookie", mine+"x"))
			}
			a.down(true)
			note(a.do("GET", "/", "", "Cookie", mine))
			note(a.do("POST", "/logout", "", "Cookie", mine))
			a.down(false)
			note(a.do("POST", "/logout", "", "Cookie", mine))
			note(a.do("GET", "/", "", "Cookie", mine))
			if log.Len() == 0 || seen.Len() == 0 {
				t.Error("nothing was noted")
			}
			for what, where := range map[string]string{"log": log.String(), "answers": seen.String(), "events": a.take()} {
				// Parts of it must not occur either: a value that is cut or quoted is still secret.
				if strings.Contains(where, text) || strings.Contains(where, text[10:30]) {
					t.Errorf("the session's text is in the %s", what)
				}
			}
		})
	})
}

// A process stores nothing about a session.
func TestReplicas(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		t.Run("attack_121_logout_on_another", func(t *testing.T) {
			schemetest.Add(t, s, "alice")
			here, there := newApp(t, s, nil), newApp(t, s, nil)
			mine, other := here.login("alice"), here.login("alice")
			if there.who(mine) != "session:id-alice" {
				t.Fatal("another replica does not know the session")
			}
			if w := here.do("POST", "/logout", "", "Cookie", mine); w.Code != 204 {
				t.Fatalf("%d", w.Code)
			}
			if got := there.who(mine); got != unauthorized {
				t.Errorf("after logout: %s", got)
			}
			if got := there.who(other); got != "session:id-alice" {
				t.Errorf("the other session: %s", got)
			}
			schemetest.Must(t, s.SetActive(t.Context(), "id-alice", false))
			if got := there.who(other); got != unauthorized {
				t.Errorf("after disabling: %s", got)
			}
		})
	})
}

// A clock that jumps back by up to an hour logs nobody out, and extends no session beyond its
// absolute timeout.
func TestClockJumpsBack(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		t.Run("attack_118_clock", func(t *testing.T) {
			schemetest.Add(t, s, "alice")
			a := newApp(t, s, &session.Options{Idle: time.Hour, Absolute: 2 * time.Hour, Interval: session.EveryRequest})
			mine := a.login("alice")
			for _, at := range []time.Duration{30 * time.Minute, -30 * time.Minute, 0, -time.Hour, -time.Minute, 40 * time.Minute} {
				a.c.Set(at)
				if got := a.who(mine); got != "session:id-alice" {
					t.Fatalf("at %s: %s", at, got)
				}
			}
			for _, at := range []time.Duration{80 * time.Minute, 110 * time.Minute, 61 * time.Minute, 119 * time.Minute} {
				a.c.Set(at)
				if got := a.who(mine); got != "session:id-alice" {
					t.Fatalf("at %s: %s", at, got)
				}
				if list, err := a.x.Sessions(t.Context(), "id-alice", 10); err != nil || len(list) != 1 || list[0].Expires.After(born.Add(2*time.Hour)) {
					t.Errorf("at %s: %+v, %v", at, list, err)
				}
			}
			a.c.Set(2 * time.Hour)
			if got := a.who(mine); got != unauthorized {
				t.Errorf("at the absolute end: %s", got)
			}
		})
	})
}
