package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// Every path of the contract is there, with a slash at its end and without, for the methods
// that it is for, and what all endpoints share holds for each of them.
func TestContractPaths(t *testing.T) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, ring *keys.Ring) {
		cfg, err := parseFlags(nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Flags = flags
		cfg.LoginRate = "off"
		h, err := testServer(t, cfg, db, ring)
		if err != nil {
			t.Fatal(err)
		}
		c := demotest.NewClient(t, h)
		mine := c.Token("/token/login", "alice", "wonderland-42")
		for _, x := range []struct {
			method, path, body string
			anonymous          int
		}{
			{"GET", "/", "", 200}, {"GET", "/healthz", "", 200}, {"GET", "/api/open", "", 200}, {"GET", "/api/notes", "", 200}, {"GET", "/login", "", 200},
			{"GET", "/api/profile", "", 401}, {"GET", "/api/session/profile", "", 401}, {"GET", "/api/jwt/profile", "", 401}, {"GET", "/api/oauth2/profile", "", 401},
			{"GET", "/api/knox/profile", "", 401}, {"GET", "/api/token/profile", "", 401}, {"GET", "/api/basic/profile", "", 401}, {"GET", "/api/admin", "", 401},
			{"GET", "/api/notes/1", "", 404}, {"PUT", "/api/notes/1", `{"text":"x"}`, 401}, {"DELETE", "/api/notes/1", "", 401}, {"POST", "/api/notes", `{"text":"x"}`, 401},
			{"POST", "/token/login", "{}", 400}, {"POST", "/knox/login", "{}", 400}, {"POST", "/jwt/token", "{}", 400}, {"POST", "/session/login", "{}", 400},
			{"POST", "/jwt/token/refresh", "{}", 400}, {"POST", "/jwt/token/verify", "{}", 400}, {"POST", "/jwt/token/blacklist", "{}", 400},
			{"POST", "/jwt/token/verify", `{"token":"x"}`, 401}, {"GET", "/.well-known/jwks.json", "", 200},
			{"POST", "/token/logout", "", 401}, {"POST", "/knox/logout", "", 401}, {"POST", "/knox/logoutall", "", 401}, {"GET", "/knox/tokens", "", 401}, {"POST", "/session/logout", "", 204},
			{"POST", "/logout-everywhere", "", 401},
			{"GET", "/oauth2/authorize", "", 400}, {"POST", "/oauth2/token", "grant_type=x", 401}, {"POST", "/oauth2/revoke", "token=x", 401}, {"POST", "/oauth2/introspect", "token=x", 401},
			{"POST", "/oauth2/device_authorization", "client_id=x", 401}, {"GET", "/oauth2/device", "", 303},
			{"POST", "/oauth2/par", "client_id=x", 401}, {"GET", "/oauth2/userinfo", "", 401},
			{"GET", "/.well-known/oauth-authorization-server", "", 200}, {"GET", "/.well-known/openid-configuration", "", 200},
		} {
			c.Is(x.anonymous, "*", x.method, x.path, x.body)
			if x.path != "/" {
				c.Is(x.anonymous, "*", x.method, x.path+"/", x.body)
				c.Is(404, "*", x.method, x.path+"/nothing/at/all", x.body)
			}
			c.Is(400, "*", x.method, x.path, x.body, mine, basicAuth("alice", "wonderland-42"))
		}
		t.Run("logins", func(t *testing.T) {
			if err := db.SetActive(t.Context(), userID(t, db, "bob"), false); err != nil {
				t.Fatal(err)
			}
			for path, challenge := range map[string]string{"/token/login": "Token", "/knox/login": "Knox", "/jwt/token": "Bearer", "/session/login": `Session realm="api"`} {
				for _, body := range []string{`{"username":"alice","password":"x"}`, "username=alice&password=x", `{"username":"nobody","password":"x"}`, `{"username":"bob","password":"bob-the-builder-42"}`} {
					resp := c.Is(401, wrong, "POST", path, body)
					if got := resp.Header["Www-Authenticate"]; !slices.Equal(got, []string{challenge}) || len(resp.Cookies()) > 0 {
						t.Errorf("%s %s: challenges %q, cookies %v", path, body, got, resp.Cookies())
					}
				}
				c.Is(400, `{"username":["This field is required."],"password":["This field is required."]}`, "POST", path, "{}")
				c.Is(400, `{"username":["This field is required."]}`, "POST", path, `{"password":"x"}`)
				c.Is(400, `{"password":["This field is required."]}`, "POST", path, "username=alice")
				for _, x := range []struct {
					status     int
					body, kind string
				}{{400, "{", ""}, {400, `{"username":`, ""}, {415, "", "text/plain"}, {415, "", "application/xml"}} {
					var headers []string
					if x.kind != "" {
						headers = []string{"Content-Type: " + x.kind}
					}
					if resp, text := c.Do("POST", path, x.body, headers...); resp.StatusCode != x.status || !strings.HasPrefix(text, `{"detail":"`) {
						t.Errorf("%s %q %s: %d %s", path, x.body, x.kind, resp.StatusCode, text)
					}
				}
				// A stale credential in the request changes nothing.
				for _, stale := range []string{"Authorization: Token junk", "Authorization: Bearer junk", "Cookie: session=junk"} {
					c.Is(200, "*", "POST", path, alicesLogin, stale)
					c.Is(400, "*", "POST", path, "{}", stale)
				}
				c.Is(405, "*", "GET", path, "")
			}
		})
	}, gormstore.Options{})
}

// Each login endpoint counts attempts, all with one counter.
func TestContractThrottled(t *testing.T) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, ring *keys.Ring) {
		cfg, err := parseFlags(nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Flags = flags
		cfg.LoginRate = "2/m"
		h, err := testServer(t, cfg, db, ring)
		if err != nil {
			t.Fatal(err)
		}
		c := demotest.NewClient(t, h)
		paths := []string{"/token/login", "/knox/login", "/jwt/token", "/session/login"}
		for _, path := range paths[:2] {
			c.Is(401, wrong, "POST", path, `{"username":"alice","password":"x"}`)
		}
		for _, path := range paths {
			if resp := c.Is(429, "*", "POST", path, alicesLogin); resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", path)
			}
		}
		c.Is(429, "*", "GET", "/api/basic/profile", "", basicAuth("alice", "wonderland-42"))
	}, gormstore.Options{})
}
