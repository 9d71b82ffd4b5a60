package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a clock that the test moves.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(c.offset.Load()))
}
func (c *clock) wait(d time.Duration) { c.offset.Add(int64(d)) }

// services starts both, with real HTTP between them.
func services(t *testing.T) (c *clock, issuer, verifier *httptest.Server) {
	t.Helper()
	c = &clock{}
	h, err := newIssuer(t.Context(), c.now)
	if err != nil {
		t.Fatal(err)
	}
	issuer = httptest.NewServer(h)
	t.Cleanup(issuer.Close)
	h, err = newVerifier(issuer.URL+"/.well-known/jwks.json", c.now)
	if err != nil {
		t.Fatal(err)
	}
	verifier = httptest.NewServer(h)
	t.Cleanup(verifier.Close)
	return c, issuer, verifier
}

// #region rotation

// During a rotation no token is rejected: neither those of the old key nor those of the new one.
func TestRotation(t *testing.T) {
	c, issuer, verifier := services(t)
	admin, _ := logIn(t, issuer, "root", "looking-glass-42")
	old, _ := logIn(t, issuer, "alice", "wonderland-42")
	if status := call(t, "GET", verifier.URL+"/notes", old, nil, nil); status != http.StatusOK {
		t.Fatalf("before the rotation: %d", status)
	}
	if status := call(t, "POST", issuer.URL+"/keys/rotate", old, nil, nil); status != http.StatusForbidden {
		t.Errorf("alice rotates the keys: %d", status)
	}
	if status := call(t, "POST", issuer.URL+"/keys/rotate", admin, nil, nil); status != http.StatusOK {
		t.Fatalf("rotate: %d", status)
	}
	if status := call(t, "POST", issuer.URL+"/keys/rotate", admin, nil, nil); status != http.StatusBadRequest {
		t.Errorf("a second rotation at once: %d", status)
	}
	c.wait(8 * time.Minute)
	before, _ := logIn(t, issuer, "alice", "wonderland-42") // still under the old key
	c.wait(3 * time.Minute)
	after, _ := logIn(t, issuer, "alice", "wonderland-42")
	if header(before) == header(after) {
		t.Error("the new key does not sign")
	}
	for name, token := range map[string]string{"old key": before, "new key": after} {
		if status := call(t, "GET", verifier.URL+"/notes", token, nil, nil); status != http.StatusOK {
			t.Errorf("%s: %d", name, status)
		}
	}
}

// #endregion rotation

// #region outage

// While the issuer is down, the verifier works with the keys that it has. Without keys it answers
// 503: it cannot know whether the token is good.
func TestOutage(t *testing.T) {
	c, issuer, verifier := services(t)
	token, _ := logIn(t, issuer, "alice", "wonderland-42")
	if status := call(t, "GET", verifier.URL+"/notes", token, nil, nil); status != http.StatusOK {
		t.Fatalf("before the outage: %d", status)
	}
	h, err := newVerifier(issuer.URL+"/.well-known/jwks.json", c.now)
	if err != nil {
		t.Fatal(err)
	}
	restarted := httptest.NewServer(h)
	defer restarted.Close()
	issuer.Close()

	if status := call(t, "GET", verifier.URL+"/notes", token, nil, nil); status != http.StatusOK {
		t.Errorf("with cached keys: %d", status)
	}
	if status := call(t, "GET", restarted.URL+"/notes", token, nil, nil); status != http.StatusServiceUnavailable {
		t.Errorf("a verifier that has no keys yet: %d", status)
	}
	if status := call(t, "GET", restarted.URL+"/notes", "junk", nil, nil); status != http.StatusUnauthorized {
		t.Errorf("junk: %d", status)
	}
}

// #endregion outage

// #region revocation

// A verifier accepts an access token until it expires, also after a logout. The issuer rejects it at
// once, and gives no new ones.
func TestLogout(t *testing.T) {
	c, issuer, verifier := services(t)
	access, refresh := logIn(t, issuer, "alice", "wonderland-42")
	if status := call(t, "POST", verifier.URL+"/notes", access, url.Values{"text": {"milk"}}, nil); status != http.StatusOK {
		t.Fatalf("add: %d", status)
	}
	root, _ := logIn(t, issuer, "root", "looking-glass-42")
	var list []string
	if status := call(t, "GET", verifier.URL+"/notes", root, nil, &list); status != http.StatusOK || len(list) != 0 {
		t.Errorf("another user sees %d %q", status, list)
	}
	if status := call(t, "POST", issuer.URL+"/logout", access, nil, nil); status != http.StatusNoContent {
		t.Fatalf("logout: %d", status)
	}
	if status := call(t, "POST", issuer.URL+"/refresh", "", url.Values{"refresh": {refresh}}, nil); status != http.StatusUnauthorized {
		t.Errorf("refresh after the logout: %d", status)
	}
	if status := call(t, "GET", verifier.URL+"/notes", access, nil, &list); status != http.StatusOK || len(list) != 1 {
		t.Errorf("the verifier, before the token expires: %d %q", status, list)
	}
	c.wait(5*time.Minute + 10*time.Second)
	if status := call(t, "GET", verifier.URL+"/notes", access, nil, nil); status != http.StatusUnauthorized {
		t.Errorf("the verifier, after it has expired: %d", status)
	}
}

// #endregion revocation

func header(token string) string {
	h, _, _ := strings.Cut(token, ".")
	return h
}

func logIn(t *testing.T, issuer *httptest.Server, name, password string) (access, refresh string) {
	t.Helper()
	var pair struct{ Access, Refresh string }
	if status := call(t, "POST", issuer.URL+"/login", "", url.Values{"username": {name}, "password": {password}}, &pair); status != http.StatusOK {
		t.Fatalf("login: %d", status)
	}
	return pair.Access, pair.Refresh
}

// call sends a request and decodes the answer into v.
func call(t *testing.T, method, target, token string, form url.Values, v any) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if v != nil && response.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, v); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	}
	return response.StatusCode
}
