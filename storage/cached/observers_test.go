package cached_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/remoteuser"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// An observer that panics changes no answer, and its text reaches no log.
func TestObserversThatPanic_attack_265(t *testing.T) {
	const secret = "hunter2-in-a-panic"
	db := memory.New(nil)
	ctx := t.Context()
	hasher := passwordtest.New(t, nil)
	hash, err := hasher.Hash(ctx, "", "wonderland-42")
	must(t, err)
	must(t, db.CreateUser(ctx, storage.User{ID: "id-alice", Name: "alice", Active: true, Password: hash}))
	checker, err := password.New(db, hasher, nil)
	must(t, err)
	site, err := csrf.New("https://bench.example", nil)
	must(t, err)
	secretKey, err := jose.NewSecret("k", jose.HS256, []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	signing, err := jose.NewKeySet(secretKey)
	must(t, err)
	proxies, err := authn.NewTrustedProxies("192.0.2.0/24")
	must(t, err)
	log := new(bytes.Buffer)
	logger := slog.New(slog.NewJSONHandler(log, nil))
	old := slog.Default()
	slog.SetDefault(logger)
	defer slog.SetDefault(old)

	events, err := audit.New(func(context.Context, audit.Event) { panic(secret) }, &audit.Options{Logger: logger})
	must(t, err)
	ring, err := keys.NewRing(keys.Generate())
	must(t, err)
	tokens, err := token.New(db, ring, &token.Options{Logger: logger, Audit: events})
	must(t, err)
	devices, err := knox.New(db, &knox.Options{Logger: logger, Audit: events})
	must(t, err)
	jwts, err := jwt.New("https://bench.example", "https://bench.example/api", signing, db, &jwt.Options{Logger: logger, Audit: events})
	must(t, err)
	browsers, err := session.New(db, site, &session.Options{Logger: logger, Audit: events})
	must(t, err)
	remote, err := remoteuser.New("X-Remote-User", proxies, db, site, &remoteuser.Options{Create: remoteuser.NewUser, Audit: events})
	must(t, err)

	login := func(path string) *http.Request {
		body, _ := json.Marshal(map[string]string{"username": "alice", "password": "wonderland-42"})
		r := httptest.NewRequest("POST", "https://bench.example"+path, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "https://bench.example")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		return r
	}
	known := login("/")
	known.Method, known.Body = "GET", nil
	known.RemoteAddr = "192.0.2.1:1"
	known.Header.Set("X-Remote-User", "newcomer")
	for name, c := range map[string]struct {
		h http.Handler
		r *http.Request
	}{
		"token":      {tokens.Login(checker), login("/token")},
		"knox":       {devices.Login(checker), login("/knox")},
		"jwt":        {jwts.Login(checker), login("/jwt")},
		"session":    {browsers.Login(checker), login("/session")},
		"remoteuser": {authn.New(remote, nil).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), known},
	} {
		t.Run("edge_A06/"+name, func(t *testing.T) {
			log.Reset()
			rec := httptest.NewRecorder()
			func() {
				defer func() {
					if v := recover(); v != nil {
						t.Errorf("the connection is dropped: %T", v)
					}
				}()
				c.h.ServeHTTP(rec, c.r)
			}()
			if rec.Code/100 != 2 {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
			if text := log.String(); strings.Contains(text, secret) || !strings.Contains(text, "observer panicked") {
				t.Errorf("log: %s", text)
			}
		})
	}
}

// A panic in Tell undoes the change, as an error does.
func TestTellThatPanics(t *testing.T) {
	t.Run("edge_A06/tell", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), &cached.Options{Tell: func(context.Context, cached.Change) error { panic("hunter2-in-a-panic") }})
		w.add("alice")
		err := w.s.SetActive(w.ctx, "alice", false)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
		if u, err := w.s.UserByID(w.ctx, "alice"); err != nil || !u.Active {
			t.Errorf("%+v, %v: the change was kept", u, err)
		}
	})
}
