package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// faulty fails to look sessions up where it is told to.
type faulty struct {
	*gormstore.Store
	down atomic.Bool
}

func (f *faulty) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	if f.down.Load() {
		return storage.Session{}, storage.User{}, errors.New("the database is down")
	}
	return f.Store.SessionByDigest(ctx, d)
}

const (
	pagesVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	pagesCallback = "http://127.0.0.1:40123/callback"
	acceptHTML    = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
)

// request is an authorization request of the public demo client; pairs change it.
func request(pairs ...string) url.Values {
	sum := sha256.Sum256([]byte(pagesVerifier))
	v := url.Values{
		"response_type": {"code"}, "client_id": {"demo-public"}, "redirect_uri": {pagesCallback}, "scope": {"openid profile"}, "state": {"s&t"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// visitor is a server with a browser in front of it, on one kind of store.
type visitor struct {
	demotest.Client
	db   *faulty
	base string
}

func visitors(t *testing.T, f func(t *testing.T, v visitor)) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, ring *keys.Ring) {
		cfg, err := parseFlags(nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Flags = flags
		cfg.LoginRate, cfg.Cache = "off", 0
		cfg.Base = "https://elsewhere.example" // what the server is called outside, whatever Host says
		v := visitor{db: &faulty{Store: db}, base: cfg.Base}
		h, err := testServer(t, cfg, v.db, ring)
		if err != nil {
			t.Fatal(err)
		}
		v.Client = demotest.NewClient(t, h)
		f(t, v)
	}, gormstore.Options{})
}

// in is the visitor of a subtest.
func (v visitor) in(t *testing.T) visitor {
	v.T = t
	return v
}

func (v visitor) login() string {
	v.T.Helper()
	return sessionCookie(v.Is(200, "*", "POST", "/session/login", alicesLogin))
}

// dead is the cookie of a session that ended.
func (v visitor) dead() string {
	v.T.Helper()
	mine := v.login()
	v.Is(204, "", "POST", "/session/logout", "", mine)
	return mine
}

// local is where an answer leads, as a path of this server.
func (v visitor) local(resp *http.Response) string {
	v.T.Helper()
	to, ok := strings.CutPrefix(resp.Header.Get("Location"), v.base)
	if !ok || !strings.HasPrefix(to, "/") {
		v.T.Fatalf("goes to %q", resp.Header.Get("Location"))
	}
	return to
}

// removed reports whether an answer takes the session cookie away, and sets none.
func removed(resp *http.Response) bool {
	n := 0
	for _, c := range resp.Cookies() {
		if c.Name == "session" {
			if n++; c.MaxAge >= 0 || c.Value != "" {
				return false
			}
		}
	}
	return n == 1
}

// allow answers the consent page at that path and returns where the browser is sent.
func (v visitor) allow(page, mine string) *url.URL {
	v.T.Helper()
	_, text := v.Do("GET", page, "", mine)
	handle := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(text)
	if handle == nil {
		v.T.Fatalf("no consent page: %s", text)
	}
	resp := v.Is(303, "", "POST", page, "handle="+handle[1]+"&decision=allow", mine, "Origin: "+v.S.URL, "Sec-Fetch-Site: same-origin")
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		v.T.Fatal(err)
	}
	return to
}

// next is the address that a login page leads back to.
func (v visitor) next(resp *http.Response) string {
	v.T.Helper()
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || to.Path != "/login" || to.Host != "" {
		v.T.Fatalf("goes to %q, not to the login", resp.Header.Get("Location"))
	}
	return to.Query().Get("next")
}

// A client may send its request by POST (OpenID Connect Core 3.1.2.1).
func TestRequestsByPost(t *testing.T) {
	visitors(t, func(t *testing.T, v visitor) {
		t.Run("edge_B08/P1 of another site without a cookie", func(t *testing.T) {
			v := v.in(t)
			resp := v.Is(303, "", "POST", "/oauth2/authorize", request().Encode(), "Origin: https://client.example", "Sec-Fetch-Site: cross-site")
			if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer" || len(resp.Cookies()) != 0 {
				t.Errorf("%v", resp.Header)
			}
			page := v.next(v.Is(303, "", "GET", v.local(resp), ""))
			if to := v.allow(page, v.login()); to.Query().Get("code") == "" || to.Query().Get("state") != "s&t" || !strings.HasPrefix(to.String(), pagesCallback+"?") {
				t.Errorf("%s", to)
			}
		})
		t.Run("edge_B08/P2 of a sibling host with the cookie", func(t *testing.T) {
			v := v.in(t)
			mine := v.login()
			resp := v.Is(303, "", "POST", "/oauth2/authorize", request().Encode(), mine, "Origin: https://sibling.example", "Sec-Fetch-Site: same-site")
			if to := v.allow(v.local(resp), mine); to.Query().Get("code") == "" {
				t.Errorf("%s", to)
			}
		})
		t.Run("edge_B08/P3 forged form", func(t *testing.T) {
			v := v.in(t)
			mine := v.login()
			page := "/oauth2/authorize?" + request().Encode()
			_, text := v.Do("GET", page, "", mine)
			handle := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(text)
			v.Is(403, "*", "POST", page, "handle="+handle[1]+"&decision=allow", mine, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site")
			for _, body := range []string{"handle=x&decision=allow", "handle=vco_" + strings.Repeat("A", 49) + "&decision=allow", "handle=" + handle[1]} {
				resp := v.Is(400, "*", "POST", page, body, mine, "Sec-Fetch-Site: same-origin", "Origin: "+v.S.URL)
				if resp.Header.Get("Location") != "" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
					t.Errorf("%s: %v", body, resp.Header)
				}
			}
		})
		t.Run("edge_B08/a login is still counted as needed", func(t *testing.T) {
			v := v.in(t)
			mine := v.login()
			resp := v.Is(303, "", "POST", "/oauth2/authorize", request("prompt", "login").Encode(), mine)
			v.next(v.Is(303, "", "GET", v.local(resp), "", mine))
		})
		t.Run("edge_B08/two Authorization headers", func(t *testing.T) {
			v := v.in(t)
			v.Is(400, "*", "POST", "/oauth2/authorize", request().Encode(), "Authorization: Token x", basicAuth("alice", "wonderland-42"))
		})
		t.Run("edge_B08/hosts of the request", func(t *testing.T) {
			v := v.in(t)
			for _, path := range []string{"//evil.example/oauth2/authorize", "/oauth2//authorize", "/oauth2/authorize/"} {
				resp, _ := v.Do("POST", path, request().Encode(), "X-Forwarded-Host: evil.example", "X-Original-URL: //evil.example/")
				if to, err := url.Parse(resp.Header.Get("Location")); err != nil || to.Host != "" && "https://"+to.Host != v.base {
					t.Errorf("%s: sent to %s, %v", path, to, err)
				}
			}
		})
	})
}

// Logout by POST (RP-Initiated Logout section 2), which says no more than it saw.
func TestLogoutByPost(t *testing.T) {
	visitors(t, func(t *testing.T, v visitor) {
		idToken := func(mine string) string {
			to := v.allow("/oauth2/authorize?"+request().Encode(), mine)
			_, text := v.Do("POST", "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"demo-public"}, "redirect_uri": {pagesCallback},
				"code_verifier": {pagesVerifier}, "code": {to.Query().Get("code")}}.Encode())
			m := regexp.MustCompile(`"id_token":"([^"]+)"`).FindStringSubmatch(text)
			if m == nil {
				t.Fatal(text)
			}
			return m[1]
		}
		crossSite := []string{"Origin: https://client.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
		t.Run("edge_B07/P5 with a hint", func(t *testing.T) {
			v := v.in(t)
			mine := v.login()
			hint := idToken(mine)
			resp := v.Is(303, "", "POST", "/oauth2/logout", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"http://127.0.0.1/"}, "state": {"a b"}}.Encode(), crossSite...)
			page := v.local(resp)
			if strings.Contains(page, hint) || strings.Contains(page, strings.Split(hint, ".")[1]) {
				t.Errorf("the hint is in the address: %s", page)
			}
			resp = v.Is(303, "", "GET", page, "", mine)
			if to := resp.Header.Get("Location"); to != "http://127.0.0.1/?state=a+b" || !removed(resp) {
				t.Errorf("sent to %q, %v", to, resp.Header)
			}
			v.Is(401, "*", "GET", "/api/profile", "", mine)
		})
		t.Run("edge_B07/P6 without a hint", func(t *testing.T) {
			v := v.in(t)
			mine := v.login()
			page := v.local(v.Is(303, "", "POST", "/oauth2/logout", "client_id=demo-public&state=x", mine, "Origin: "+v.S.URL, "Sec-Fetch-Site: same-origin"))
			_, text := v.Do("GET", page, "", mine)
			handle := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(text)
			if handle == nil {
				t.Fatalf("no question: %s", text)
			}
			v.Is(200, "*", "GET", "/api/profile", "", mine)
			v.Is(403, "*", "POST", page, "handle="+handle[1]+"&decision=logout", mine, "Origin: https://evil.example")
			if _, text := v.Do("POST", page, "handle="+handle[1]+"&decision=logout", mine, "Origin: "+v.S.URL); !strings.Contains(text, "You are logged out") {
				t.Errorf("%s", text)
			}
			v.Is(401, "*", "GET", "/api/profile", "", mine)
		})
		t.Run("edge_B07/P7 nothing seen, nothing claimed", func(t *testing.T) {
			v := v.in(t)
			mine := v.login()
			for _, x := range []struct {
				method, body string
				headers      []string
			}{
				{"POST", "x=y", crossSite}, {"POST", "state=x", crossSite}, {"GET", "", nil}, {"POST", "handle=vlo_x&decision=logout", nil},
				{"GET", "", []string{basicAuth("alice", "wonderland-42"), mine}},
			} {
				resp, text := v.Do(x.method, "/oauth2/logout", x.body, append(x.headers, acceptHTML)...)
				if resp.StatusCode == 303 {
					resp, text = v.Do("GET", v.local(resp), "", append(x.headers, acceptHTML)...)
				}
				if strings.Contains(text, "You are logged out") || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
					t.Errorf("%s %s: %d %s", x.method, x.body, resp.StatusCode, text)
				}
			}
			v.Is(200, "*", "GET", "/api/profile", "", mine)
			// In a frame of another site the cookie stays away: the client is not told that the user is gone.
			bye := "/oauth2/logout?client_id=demo-public&post_logout_redirect_uri=" + url.QueryEscape("http://127.0.0.1/")
			v.Is(303, "", "GET", bye, "", "Sec-Fetch-Dest: document")
			v.Is(200, "*", "GET", bye, "", "Sec-Fetch-Dest: iframe")
			// Two cookies: nothing ends, and neither is taken away.
			resp := v.Is(401, "*", "POST", "/session/logout", "", mine+"; session=x")
			if len(resp.Cookies()) > 0 {
				t.Errorf("%v", resp.Header)
			}
			v.Is(200, "*", "GET", "/api/profile", "", mine)
		})
		t.Run("edge_B07/two logins by basic beside a session", func(t *testing.T) {
			v := v.in(t)
			mine := v.login()
			bye := "/oauth2/logout?client_id=demo-public&post_logout_redirect_uri=" + url.QueryEscape("http://127.0.0.1/")
			v.Is(403, "*", "GET", bye, "", mine, basicAuth("alice", "wonderland-42"))
			v.Is(200, "*", "GET", "/api/profile", "", mine)
		})
	})
}

// A page for people treats a session that has ended as no session at all.
func TestEndedSessionsOnPages_attack_269(t *testing.T) {
	authorize := "/oauth2/authorize?" + request().Encode()
	pages := map[string]string{"authorize": authorize, "device": "/oauth2/device?user_code=WDJB-MJHT", "grants": "/oauth2/applications"}
	visitors(t, func(t *testing.T, v visitor) {
		ended := map[string]func(t *testing.T) string{
			"logged out": func(*testing.T) string { return v.dead() },
			"unknown":    func(*testing.T) string { return "Cookie: session=vss_" + strings.Repeat("A", 43) + "000000" },
			"malformed":  func(*testing.T) string { return "Cookie: session=junk" },
			"logged out everywhere": func(t *testing.T) string {
				mine := v.login()
				v.Is(204, "", "POST", "/logout-everywhere", "", mine, "Origin: "+v.S.URL)
				return mine
			},
		}
		for what, cookie := range ended {
			t.Run("edge_B06/"+what, func(t *testing.T) {
				v := v.in(t)
				cookie := cookie(t)
				v.Is(401, "*", "GET", "/api/open", "", cookie) // no page
				for name, page := range pages {
					for _, accept := range []string{acceptHTML, "Accept: application/json", "Accept: */*"} { // it does not choose the page
						resp := v.Is(303, "", "GET", page, "", cookie, accept)
						if next := v.next(resp); !strings.HasPrefix(next, strings.SplitN(page, "?", 2)[0]) || !removed(resp) {
							t.Errorf("%s: back to %q, %v", name, next, resp.Header)
						}
					}
				}
				resp := v.Is(200, "*", "GET", "/oauth2/logout", "", cookie)
				if !removed(resp) {
					t.Errorf("logout: %v", resp.Header)
				}
				resp = v.Is(303, "", "GET", "/oauth2/authorize?"+request("prompt", "none").Encode(), "", cookie)
				if to := resp.Header.Get("Location"); !strings.HasPrefix(to, pagesCallback+"?error=login_required") || !removed(resp) {
					t.Errorf("prompt=none: %q %v", to, resp.Header)
				}
			})
		}
		t.Run("edge_B06/a disabled account", func(t *testing.T) {
			v := v.in(t)
			resp := v.Is(200, "*", "POST", "/session/login", `{"username":"bob","password":"bob-the-builder-42"}`)
			bob := userID(t, v.db.Store, "bob")
			if err := v.db.SetActive(t.Context(), bob, false); err != nil {
				t.Fatal(err)
			}
			if resp = v.Is(303, "", "GET", authorize, "", sessionCookie(resp)); v.next(resp) == "" || !removed(resp) {
				t.Errorf("%v", resp.Header)
			}
		})
		t.Run("edge_B06/two cookies", func(t *testing.T) {
			v := v.in(t)
			mine := v.login()
			for name, page := range pages {
				if resp := v.Is(401, "*", "GET", page, "", mine+"; session=x", acceptHTML); len(resp.Cookies()) > 0 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
					t.Errorf("%s: %v", name, resp.Header)
				}
			}
		})
		t.Run("edge_B06/a bad Authorization", func(t *testing.T) {
			v := v.in(t)
			dead := v.dead()
			for name, page := range pages {
				for _, bad := range []string{"Authorization: Token junk", "Authorization: Bearer junk", basicAuth("alice", "wrong")} {
					if resp := v.Is(401, "*", "GET", page, "", dead, bad); len(resp.Cookies()) > 0 {
						t.Errorf("%s: %v", name, resp.Header)
					}
				}
			}
		})
		t.Run("edge_B06/a fault", func(t *testing.T) {
			v := v.in(t)
			mine := v.login()
			v.db.down.Store(true)
			defer v.db.down.Store(false)
			for name, page := range pages {
				resp := v.Is(503, "*", "GET", page, "", mine, acceptHTML)
				if len(resp.Cookies()) > 0 || resp.Header.Get("Retry-After") == "" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
					t.Errorf("%s: %v", name, resp.Header)
				}
			}
			v.Is(503, "*", "GET", "/oauth2/authorize?"+request("prompt", "none").Encode(), "", mine)
		})
		t.Run("edge_B06/unsafe requests", func(t *testing.T) {
			v := v.in(t)
			mine := v.login()
			_, text := v.Do("GET", authorize, "", mine)
			handle := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(text)
			v.Is(204, "", "POST", "/session/logout", "", mine)
			forms := map[string]string{authorize: "handle=" + handle[1] + "&decision=allow", "/oauth2/device": "user_code=WDJB-MJHT", "/oauth2/applications": "grant=x"}
			for page, form := range forms {
				resp := v.Is(303, "", "POST", page, form, mine, "Origin: "+v.S.URL, "Sec-Fetch-Site: same-origin")
				if next := v.next(resp); next != page || !removed(resp) || strings.Contains(resp.Header.Get("Location"), "handle") {
					t.Errorf("%s: back to %q, %v", page, next, resp.Header)
				}
				resp = v.Is(403, "*", "POST", page, form, mine, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", acceptHTML)
				if len(resp.Cookies()) > 0 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
					t.Errorf("%s: %v", page, resp.Header)
				}
			}
			resp := v.Is(303, "", "POST", "/oauth2/logout?state=x", "handle=vlo_x&decision=logout", mine, "Origin: "+v.S.URL)
			if to := resp.Header.Get("Location"); to != "?state=x" || !removed(resp) {
				t.Errorf("logout: to %q, %v", to, resp.Header)
			}
		})
	})
}

// What a browser shows to people is a page, whatever went wrong.
func TestPagesAreHTML(t *testing.T) {
	visitors(t, func(t *testing.T, v visitor) {
		mine := v.login()
		crossSite := []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}
		for what, x := range map[string]struct {
			status             int
			method, path, body string
			headers            []string
		}{
			"login from another site":     {403, "POST", "/login", "username=alice&password=wonderland-42", crossSite},
			"login of another method":     {405, "DELETE", "/login", "", nil},
			"login with another type":     {415, "POST", "/login", "", []string{"Content-Type: text/plain"}},
			"login that is too large":     {413, "POST", "/login", "username=" + strings.Repeat("a", 65<<10), nil},
			"login with two credentials":  {400, "GET", "/login", "", []string{"Authorization: Token x", "Authorization: Token y"}},
			"authorize, another method":   {405, "DELETE", "/oauth2/authorize", "", nil},
			"authorize, unknown client":   {400, "GET", "/oauth2/authorize?client_id=x", "", nil},
			"authorize by JSON":           {400, "POST", "/oauth2/authorize", `{"client_id":"demo-public"}`, nil},
			"consent from another site":   {403, "POST", "/oauth2/authorize", "handle=x&decision=allow", append([]string{mine}, crossSite...)},
			"device, another method":      {405, "PUT", "/oauth2/device", "", nil},
			"device from another site":    {403, "POST", "/oauth2/device", "user_code=x", append([]string{mine}, crossSite...)},
			"device by another type":      {400, "POST", "/oauth2/device", "", []string{mine, "Sec-Fetch-Site: same-origin", "Content-Type: text/plain"}},
			"grants from another site":    {403, "POST", "/oauth2/applications", "grant=x", append([]string{mine}, crossSite...)},
			"grants, another method":      {405, "DELETE", "/oauth2/applications", "", nil},
			"logout, another method":      {405, "PUT", "/oauth2/logout", "", nil},
			"logout of an unknown client": {400, "GET", "/oauth2/logout?client_id=x&post_logout_redirect_uri=https://evil.example", "", nil},
			"a bad credential":            {401, "GET", "/oauth2/applications", "", []string{"Authorization: Token junk"}},
		} {
			t.Run("edge_B06/"+what, func(t *testing.T) {
				v := v.in(t)
				resp, text := v.Do(x.method, x.path, x.body, append([]string{acceptHTML}, x.headers...)...)
				h := resp.Header
				if resp.StatusCode != x.status || !strings.HasPrefix(h.Get("Content-Type"), "text/html") || !strings.Contains(text, "<h1>") || strings.Contains(text, `{"detail"`) {
					t.Errorf("%d %s %s", resp.StatusCode, h.Get("Content-Type"), text)
				}
				if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || h.Get("Cache-Control") != "no-store" {
					t.Errorf("%v", h)
				}
			})
		}
		// Programs get JSON, as everywhere.
		if resp, text := v.Do("POST", "/login", "", "Content-Type: text/plain"); resp.StatusCode != 415 || !strings.HasPrefix(text, `{"detail":`) {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
	})
}

// A script of any origin reads the documents, also where the key set is mounted by an authz.Mux.
func TestPreflights(t *testing.T) {
	visitors(t, func(t *testing.T, v visitor) {
		for _, path := range []string{"/.well-known/jwks.json", "/oauth2/jwks", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
			t.Run("edge_B04"+path, func(t *testing.T) {
				v := v.in(t)
				resp := v.Is(204, "", "OPTIONS", path, "", "Origin: https://page.example", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: mcp-protocol-version")
				if h := resp.Header; h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "MCP-Protocol-Version") {
					t.Errorf("%v", h)
				}
				for _, method := range []string{"GET", "HEAD"} {
					if resp := v.Is(200, "*", method, path, "", "Origin: https://page.example"); resp.Header.Get("Access-Control-Allow-Origin") != "*" {
						t.Errorf("%s: %v", method, resp.Header)
					}
				}
			})
		}
		t.Run("edge_B04/never", func(t *testing.T) {
			v := v.in(t)
			for _, path := range []string{"/oauth2/authorize", "/oauth2/logout", "/oauth2/device", "/oauth2/applications", "/login"} {
				resp, _ := v.Do("OPTIONS", path, "", "Origin: https://page.example", "Access-Control-Request-Method: POST")
				if resp.StatusCode < 400 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
				}
			}
		})
	})
}
