package main

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// newClient serves the example on a SQLite file. The login limits are off.
func newClient(t *testing.T, args ...string) demotest.Client {
	t.Helper()
	cfg, err := parseFlags(args)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Addr, cfg.LoginRate, cfg.FailureFloor, cfg.Demo = "127.0.0.1:0", "off", time.Nanosecond, true
	cfg.Users = []demo.User{{Name: "alice", Password: "wonderland-42"}, {Name: "bob", Password: "bob-the-builder-42"}, {Name: "admin", Password: "looking-glass-42", Roles: []string{"admin"}}}
	demotest.Weaken(t, &cfg.Flags)
	db, err := sqlite.Open(t.TempDir()+"/db", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	h, err := testServer(t, cfg, db, ring)
	if err != nil {
		t.Fatal(err)
	}
	return demotest.NewClient(t, h)
}

// The page runs nothing but its own files.
func TestPage(t *testing.T) {
	c := newClient(t)
	for _, path := range []string{"/", "/callback?code=x&state=y"} {
		resp, text := c.Do("GET", path, "")
		policy := resp.Header.Get("Content-Security-Policy")
		if resp.StatusCode != 200 || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: %d, %q", path, resp.StatusCode, policy)
		}
		if bad := regexp.MustCompile(`<style|style=|\son[a-z]+=|<script(?: type="module")?>|https?://[^1]`).FindString(text); bad != "" {
			t.Errorf("%s has %q", path, bad)
		}
		if row := regexp.MustCompile(`<tr>.*<td></td>`).FindString(text); row != "" {
			t.Errorf("%s says nothing in %q", path, row)
		}
		for _, want := range []string{"curl -s " + c.S.URL + "/token/login", "POST /knox/logoutall", "a stolen database holds", "1, and once a minute 2", "Django: 3", "lookups cached for 30s (-cache)"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	for path, kind := range map[string]string{"/style.css": "text/css", "/app.js": "text/javascript"} {
		if resp := c.Is(200, "*", "GET", path, ""); !strings.HasPrefix(resp.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	// Whatever /callback was opened with is read after the state of the walk alone.
	_, script := c.Do("GET", "/app.js", "")
	if state, first := strings.Index(script, `query.get("state")`), strings.Index(script, `query.get("error")`); state < 0 || first < state {
		t.Error("an answer that belongs to no walk is shown")
	}
	c.Is(404, "*", "GET", "/comparison.json", "")
	c.Is(404, "*", "GET", "/web/index.html", "")
}

// The trace says which scheme said what, and nothing of the credential.
func TestTrace(t *testing.T) {
	c := newClient(t)
	knox := c.JSON("/knox/login", alicesLogin)["token"]
	const good, bad = "wonderland-42", "white-rabbit-7"
	for _, x := range []struct{ header, outcome, scheme, username, last string }{
		{"X: y", "anonymous", "", "", "basic absent no header that it reads"},
		{"Authorization: Knox " + knox, "accepted", "knox", "alice", "knox accepted "},
		{"Authorization: Knox " + knox[:len(knox)-1] + "_", "refused", "", "", "knox refused authentication_failed"},
		{"Authorization: Bearer " + knox, "accepted", "knox", "alice", "knox accepted "},
		{"Authorization: Token junk-of-nobody", "refused", "", "", "basic absent no credential of its kind"},
		{basicAuth("alice", good), "accepted", "basic", "alice", "basic accepted "},
		{basicAuth("alice", bad), "refused", "", "", "basic refused authentication_failed"},
		{"Cookie: session=junk-of-nobody", "refused", "", "", "session refused authentication_failed"},
	} {
		resp, text := c.Do("GET", "/trace", "", x.header)
		var got struct {
			Outcome, Scheme, Username string
			Steps                     []step
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || resp.StatusCode != 200 || len(got.Steps) == 0 {
			t.Fatalf("%s: %d %s", x.header, resp.StatusCode, text)
		}
		// An ambient scheme is passed over where an explicit credential was there.
		steps := slices.DeleteFunc(got.Steps, func(s step) bool { return s.Scheme == "session" && s.Outcome == "absent" })
		s := steps[len(steps)-1]
		if last := s.Scheme + " " + s.Outcome + " " + s.Why; got.Outcome != x.outcome || got.Scheme != x.scheme || got.Username != x.username || last != x.last {
			t.Errorf("%s: %s", x.header, text)
		}
		_, credential, _ := strings.Cut(x.header, " ")
		for _, secret := range []string{credential, knox, good, bad, "junk-of-nobody"} {
			if len(secret) > 3 && strings.Contains(text, secret) {
				t.Errorf("%s tells a secret: %s", x.header, text)
			}
		}
	}
	c.Is(400, "*", "GET", "/trace", "", basicAuth("alice", good), basicAuth("bob", good))
}

// A measurement is for who is authenticated on this machine, one at a time, and streams.
func TestMeasure(t *testing.T) {
	c := newClient(t)
	mine := c.Token("/token/login", "alice", "wonderland-42")
	cookie := sessionCookie(c.Is(200, "*", "POST", "/session/login", alicesLogin))
	c.Is(401, missing, "POST", "/measure", "")
	c.Is(405, "*", "GET", "/measure", "", mine)
	c.Is(403, "*", "POST", "/measure", "", mine, "X-Forwarded-For: 198.51.100.7")
	c.Is(403, "*", "POST", "/measure", "", cookie, "Origin: https://evil.example")

	r, err := http.NewRequest("POST", c.S.URL+"/measure", nil)
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(mine, ": ")
	r.Header.Set(name, value)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	var p progress
	if err := lines.Decode(&p); err != nil || p.Done || p.Requests == 0 || p.Scheme != "token" { // it tells while it runs
		t.Fatalf("%+v, %v", p, err)
	}
	busy := c.Is(429, `{"detail":"A measurement is running."}`, "POST", "/measure", "", mine)
	if busy.Header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	for err = nil; err == nil && !p.Done; {
		err = lines.Decode(&p)
	}
	if err != nil || p.Median <= 0 || p.P99 < p.Median || p.PerSecond <= 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	_, text := c.Do("POST", "/measure", "", cookie)
	if !strings.Contains(text, `"scheme":"session"`) || !strings.HasSuffix(text, `"done":true}`) {
		t.Error(text)
	}
}
