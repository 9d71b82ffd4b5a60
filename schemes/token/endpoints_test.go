package token_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestEndpoints(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	x := scheme(t, s, schemetest.Ring(t), nil)
	do := func(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	login := x.Login(schemetest.Anyone{Subject: "id-alice"})
	stale := form("alice", "x")
	stale.Header.Set("Authorization", "Token junk")
	for _, r := range []*http.Request{form("alice", "x"), stale} {
		w := do(login, r)
		var body struct{ Token string }
		schemetest.Must(t, json.Unmarshal(w.Body.Bytes(), &body))
		if w.Code != 200 || refused(t, x, body.Token) || w.Header().Get("Cache-Control") != "no-store" || len(w.Result().Cookies()) != 1 {
			t.Errorf("login: %d %s", w.Code, w.Body)
		}
	}
	wrong := do(x.Login(schemetest.Nobody{}), form("alice", "x"))
	if wrong.Code != 401 || wrong.Header().Get("WWW-Authenticate") != "Token" || wrong.Body.String() != `{"detail":"Unable to log in with provided credentials.","code":"invalid_credentials"}` {
		t.Errorf("a refused login: %d %v %s", wrong.Code, wrong.Header(), wrong.Body)
	}
	// The account changes between the check of its password and the creation of the token.
	_, err := s.BumpEpoch(t.Context(), "id-alice")
	schemetest.Must(t, err)
	if w := do(login, form("alice", "x")); w.Code != 401 || w.Body.String() != wrong.Body.String() || w.Header().Get("WWW-Authenticate") != "Token" {
		t.Errorf("a stale login: %d %s", w.Code, w.Body)
	}
	if w := do(login, httptest.NewRequest("GET", "/", nil)); w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", w.Code)
	}

	text, err := x.GetOrCreate(t.Context(), "id-alice", schemetest.Epoch(t, s, "id-alice"))
	schemetest.Must(t, err)
	logout := x.Logout()
	post := func(authorization string) *http.Request {
		r := httptest.NewRequest("POST", "/logout", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		return r
	}
	for value, want := range map[string]string{"": `{"detail":"Authentication credentials were not provided."}`, "Token junk": `{"detail":"Invalid token."}`, "Basic YTpi": `{"detail":"Authentication credentials were not provided."}`} {
		if w := do(logout, post(value)); w.Code != 401 || w.Body.String() != want || w.Header().Get("WWW-Authenticate") != "Token" {
			t.Errorf("logout with %q: %d %s %v", value, w.Code, w.Body, w.Header())
		}
	}
	if w := do(logout, httptest.NewRequest("GET", "/", nil)); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
	broken := scheme(t, readOnly(s), sharedRing, nil)
	schemetest.Add(t, s, "bob")
	bobs, err := scheme(t, s, sharedRing, nil).GetOrCreate(t.Context(), "id-bob", 0)
	schemetest.Must(t, err)
	old := slog.Default()
	slog.SetDefault(schemetest.Quiet)
	defer slog.SetDefault(old)
	if w := do(broken.Logout(), post("Token "+bobs)); w.Code != 503 || refused(t, broken, bobs) {
		t.Errorf("a logout that could not be written: %d", w.Code)
	}
	if w := do(logout, post("Token "+text)); w.Code != 204 || w.Body.Len() > 0 || !refused(t, x, text) {
		t.Errorf("logout: %d %s", w.Code, w.Body)
	}
	if w := do(logout, post("Token "+text)); w.Code != 401 {
		t.Errorf("a second logout: %d", w.Code)
	}
}

// If the store fails, every endpoint responds with 503: no token, no 401, no 204.
func TestEndpointFaults(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	c := schemetest.Watch(s)
	x := scheme(t, c, schemetest.Ring(t), nil)
	good, err := x.GetOrCreate(t.Context(), "id-alice", 0)
	schemetest.Must(t, err)
	m := authn.New(x, &authn.Options{Logger: schemetest.Quiet})
	do := func(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		authn.New(authn.Chain{}, &authn.Options{Logger: schemetest.Quiet}).Handler(h).ServeHTTP(w, r)
		return w
	}
	logout := httptest.NewRequest("POST", "/", nil)
	logout.Header.Set("Authorization", "Token "+good)
	c.Fail(errors.New("down"))
	for name, w := range map[string]*httptest.ResponseRecorder{
		"login": do(x.Login(schemetest.Anyone{Subject: "id-alice"}), form("alice", "x")), "logout": do(x.Logout(), logout),
		"use": do(m.Handler(http.NotFoundHandler()), schemetest.With("Token "+good)),
	} {
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "down") || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
	c.Fail(nil)
	if refused(t, x, good) {
		t.Error("a fault ended the token")
	}
}

// Behind a chain with Basic, the 401 of an endpoint still has the challenge Token.
func TestOwnChallenge(t *testing.T) {
	s := memory.New(nil)
	x := scheme(t, s, schemetest.Ring(t), &token.Options{Realm: "api"})
	b, err := basic.New(schemetest.Nobody{}, nil)
	schemetest.Must(t, err)
	m := authn.New(authn.Chain{b, x}, &authn.Options{Logger: schemetest.Quiet})
	for name, x := range map[string]struct {
		h http.Handler
		r *http.Request
	}{
		"login": {x.Login(schemetest.Nobody{}), form("alice", "x")}, "logout": {x.Logout(), httptest.NewRequest("POST", "/", nil)},
	} {
		w := httptest.NewRecorder()
		m.Handler(x.h).ServeHTTP(w, x.r)
		if got := w.Header()["Www-Authenticate"]; w.Code != 401 || len(got) != 1 || got[0] != `Token realm="api"` {
			t.Errorf("%s: %d %q", name, w.Code, got)
		}
	}
}
