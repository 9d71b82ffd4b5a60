package main

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func basicAuth(name, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

const (
	missing = `{"detail":"Authentication credentials were not provided."}`
	invalid = `{"detail":"Invalid token."}`
	wrong   = `{"detail":"Unable to log in with provided credentials.","code":"invalid_credentials"}`
	denied  = `{"detail":"You do not have permission to perform this action."}`
)

// healthy waits until /healthz reports nothing. On a busy machine a cache is bypassed now and then.
func healthy(t *testing.T, h http.Handler) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) { //house: PostgreSQL has no clock of ours
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
		if w.Code == 200 && strings.TrimSpace(w.Body.String()) == `{"status":"ok"}` {
			return
		}
		if w.Code != 200 || time.Since(began) > time.Minute {
			t.Errorf("/healthz: %d %s", w.Code, w.Body)
			return
		}
	}
}

func TestContract(t *testing.T) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, ring *keys.Ring) {
		cfg, err := parseFlags(nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Flags = flags
		cfg.Cache = time.Hour // nothing ends by itself
		cfg.ListenDB = listenDB(t, flags, db)
		h, err := testServer(t, cfg, db, ring)
		if err != nil {
			t.Fatal(err)
		}
		c := demotest.NewClient(t, h)
		alice := c.Token("/token/login", "alice", "wonderland-42")
		bob := c.Token("/token/login", "bob", "bob-the-builder-42")
		admin := c.Token("/token/login", "admin", "looking-glass-42")
		alicesBasic := basicAuth("alice", "wonderland-42")

		t.Run("profiles", func(t *testing.T) {
			byToken, byBasic := `{"username":"alice","email":"alice@example.com","scheme":"token"}`, `{"username":"alice","email":"alice@example.com","scheme":"basic"}`
			c.Is(200, byToken, "GET", "/api/profile", "", alice)
			c.Is(200, byToken, "GET", "/api/token/profile/", "", alice)
			c.Is(200, byBasic, "GET", "/api/profile", "", alicesBasic)
			c.Is(200, byBasic, "GET", "/api/basic/profile", "", alicesBasic)
			c.Is(401, missing, "GET", "/api/token/profile", "", alicesBasic)
			c.Is(401, missing, "GET", "/api/basic/profile", "", alice)
			c.Is(200, `{"username":"alice"}`, "GET", "/api/open", "", alice)
			c.Is(200, `{"username":""}`, "GET", "/api/open", "")
			c.Is(401, missing, "GET", "/api/admin", "")
			c.Is(403, denied, "GET", "/api/admin", "", alice)
			c.Is(200, "*", "GET", "/api/admin", "", admin)
			healthy(t, h)
			if resp := c.Is(200, "*", "GET", "/", ""); !strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Error("the page may be framed")
			}
		})
		t.Run("shared_answers", func(t *testing.T) {
			resp := c.Is(401, missing, "GET", "/api/profile", "")
			if got := resp.Header["Www-Authenticate"]; !slices.Equal(got, []string{`Bearer scope="profile"`, `Session realm="api"`, `DPoP algs="ES256 EdDSA PS256 RS256"`, "Knox", "Token", `Basic realm="api", charset="UTF-8"`}) {
				t.Errorf("challenges %q", got)
			}
			// What nobody takes is refused by the first scheme that saw the keyword.
			notValid := `{"detail":"Token is invalid","code":"token_not_valid"}`
			for header, want := range map[string][2]string{
				"Token junk": {invalid, "Knox"}, "Token " + strings.Repeat("a", 40): {invalid, "Knox"}, "Token vst_x": {invalid, "Token"}, "Knox junk": {invalid, "Knox"}, "Token vkn_x": {invalid, "Knox"},
				"Bearer junk": {notValid, `Bearer error="invalid_token"`}, "Bearer eyJhbGciOiJub25lIn0.e30.AAAA": {notValid, `Bearer error="invalid_token"`}, "Bearer a.b.c": {notValid, `Bearer error="invalid_token"`},
			} {
				for _, path := range []string{"/api/profile", "/api/open"} {
					challenge := want[1]
					if path == "/api/profile" && strings.HasPrefix(challenge, "Bearer") {
						challenge += `, scope="profile"`
					}
					if resp := c.Is(401, want[0], "GET", path, "", "Authorization: "+header); resp.Header.Get("WWW-Authenticate") != challenge {
						t.Errorf("%s: challenge %q", header, resp.Header["Www-Authenticate"])
					}
				}
			}
			c.Is(401, `{"detail":"Invalid username/password."}`, "GET", "/api/open", "", basicAuth("alice", "wrong"))
			for _, path := range []string{"/api/profile", "/api/open", "/healthz", "/"} {
				c.Is(400, "*", "GET", path, "", alice, alicesBasic)
			}
			c.Is(400, "*", "POST", "/token/login", "username=alice&password=wonderland-42", alice, alicesBasic)
			c.Is(405, "*", "GET", "/token/login", "")
			c.Is(404, "*", "GET", "/nothing", "")
			for _, method := range []string{"OPTIONS", "TRACE", "POST", "DELETE"} {
				c.Is(401, missing, method, "/api/profile", "")
				c.Is(405, "*", method, "/api/profile", "", alice)
			}
			c.Is(401, "", "HEAD", "/api/profile", "")
		})
		t.Run("logins", func(t *testing.T) {
			if err := db.SetActive(t.Context(), userID(t, db, "bob"), false); err != nil {
				t.Fatal(err)
			}
			for _, form := range []string{`{"username":"alice","password":"x"}`, `{"username":"nobody","password":"x"}`, `{"username":"bob","password":"bob-the-builder-42"}`, "username=alice&password=x"} {
				resp := c.Is(401, wrong, "POST", "/token/login", form)
				if got := resp.Header["Www-Authenticate"]; !slices.Equal(got, []string{"Token"}) || len(resp.Cookies()) > 0 {
					t.Errorf("challenges %q, cookies %v", got, resp.Cookies())
				}
			}
			c.Is(401, invalid, "GET", "/api/profile", "", bob)
			if err := db.SetActive(t.Context(), userID(t, db, "bob"), true); err != nil {
				t.Fatal(err)
			}
			bob = c.Token("/token/login", "bob", "bob-the-builder-42")
			c.Is(400, `{"username":["This field is required."],"password":["This field is required."]}`, "POST", "/token/login", "{}")
			c.Is(400, `{"password":["This field is required."]}`, "POST", "/token/login", "username=alice")
			c.Is(400, "*", "POST", "/token/login", "{")
			c.Is(415, "*", "POST", "/token/login", "", "Content-Type: text/plain")
			c.Is(200, "*", "POST", "/token/login", "username=alice&password=wonderland-42", "Authorization: Token junk")
		})
		t.Run("knox", func(t *testing.T) { knoxPaths(t, c) })
		t.Run("jwt", func(t *testing.T) { jwtPaths(t, c) })
		t.Run("session", func(t *testing.T) {
			sessionPaths(t, c)
			alice = c.Token("/token/login", "alice", "wonderland-42") // she logged out everywhere
		})
		t.Run("oauth2", func(t *testing.T) { oauth2Paths(t, c) })
		t.Run("oauth2_device", func(t *testing.T) { devicePaths(t, c) })
		t.Run("notes", func(t *testing.T) {
			c.Is(200, "[]", "GET", "/api/notes", "")
			c.Is(401, missing, "POST", "/api/notes", `{"text":"x"}`)
			c.Is(201, `{"id":1,"text":"mine","owner":"alice"}`, "POST", "/api/notes", `{"text":"mine"}`, alice)
			c.Is(400, `{"text":["This field is required."]}`, "POST", "/api/notes", `{}`, alice)
			for _, bad := range []string{`{"text":"x"} x`, `{"text":"x"}{"text":"y"}`, `{"text":"x"`, "{\"text\":\"\xff\"}"} {
				c.Is(400, "*", "POST", "/api/notes", bad, alice)
			}
			c.Is(400, `{"text":["This field is not UTF-8."]}`, "POST", "/api/notes", "text=%ff", alice)
			c.Is(200, `{"id":1,"text":"mine","owner":"alice"}`, "GET", "/api/notes/1", "")
			c.Is(404, `{"detail":"Not found."}`, "GET", "/api/notes/2", "")
			c.Is(401, missing, "PUT", "/api/notes/1", `{"text":"x"}`)
			c.Is(401, missing, "PUT", "/api/notes/999", `{"text":"x"}`)
			c.Is(403, denied, "PUT", "/api/notes/1", `{"text":"x"}`, bob)
			c.Is(200, `{"id":1,"text":"changed","owner":"alice"}`, "PUT", "/api/notes/1", `{"text":"changed"}`, alice)
			c.Is(200, `{"id":1,"text":"by admin","owner":"alice"}`, "PUT", "/api/notes/1/", "text=by+admin", admin)
			c.Is(403, denied, "DELETE", "/api/notes/1", "", bob)
			c.Is(204, "", "DELETE", "/api/notes/1", "", alice)
			c.Is(404, "*", "DELETE", "/api/notes/1", "", alice)
		})
		t.Run("ends", func(t *testing.T) {
			pair := c.JSON("/jwt/token", `{"username":"alice","password":"wonderland-42"}`)
			device := "Authorization: Knox " + c.JSON("/knox/login", `{"username":"alice","password":"wonderland-42"}`)["token"]
			c.Is(200, "*", "GET", "/api/profile", "", device)
			c.Is(403, "*", "POST", "/logout-everywhere", "", alicesBasic, "Origin: https://evil.example")
			c.Is(204, "", "POST", "/logout-everywhere", "", alice)
			c.Is(401, invalid, "GET", "/api/profile", "", alice)
			c.Is(401, "*", "GET", "/api/profile", "", "Authorization: Bearer "+pair["access"])
			c.Is(401, "*", "POST", "/jwt/token/refresh", `{"refresh":"`+pair["refresh"]+`"}`)
			c.Is(401, invalid, "GET", "/api/profile", "", device)
			next := c.Token("/token/login", "alice", "wonderland-42")
			c.Is(204, "", "POST", "/token/logout/", "", next)
			c.Is(401, invalid, "POST", "/token/logout", "", next)
		})
		kept := c.JSON("/jwt/token", `{"username":"admin","password":"looking-glass-42"}`)
		device := "Authorization: Knox " + c.JSON("/knox/login", `{"username":"admin","password":"looking-glass-42"}`)["token"]
		t.Run("throttled", func(t *testing.T) {
			for range 30 {
				resp, _ := c.Do("POST", "/token/login", "username=carol&password=x")
				if resp.StatusCode == 429 {
					if resp.Header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
					return
				}
			}
			t.Error("never throttled")
		})
		off := *cfg
		off.Cache = 0
		if h, err = testServer(t, &off, db, ring); err != nil {
			t.Fatal(err)
		}
		uncached := demotest.NewClient(t, h)
		t.Run("store_is_gone", func(t *testing.T) {
			c.Is(200, "*", "GET", "/api/profile", "", admin)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/api/profile", "/api/open", "/healthz"} {
				if resp := uncached.Is(503, "*", "GET", path, "", admin); resp.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			}
			c.Is(200, "*", "GET", "/api/profile", "", admin) // until the cache has forgotten it
			c.Is(503, "*", "GET", "/healthz", "")
			c.Is(503, "*", "POST", "/token/logout", "", admin)
			c.Is(503, "*", "GET", "/api/profile", "", "Authorization: Bearer "+kept["access"])
			c.Is(503, "*", "POST", "/jwt/token/refresh", `{"refresh":"`+kept["refresh"]+`"}`)
			c.Is(503, "*", "POST", "/jwt/token/blacklist", `{"refresh":"`+kept["refresh"]+`"}`)
			c.Is(503, "*", "GET", "/api/profile", "", device)
			c.Is(503, "*", "POST", "/knox/logout", "", device)
		})
	}, gormstore.Options{})
}

func userID(t *testing.T, db *gormstore.Store, name string) string {
	t.Helper()
	u, err := db.UserByName(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u.ID
}

func TestFlags(t *testing.T) {
	cfg, err := parseFlags([]string{"-user", "a:b:c:x", "-user", "d:e", "-cache", "off", "-login-rate", "off"})
	if err != nil || len(cfg.Users) != 2 || cfg.Users[0].Password != "b" || len(cfg.Users[0].Roles) != 1 || cfg.Cache != 0 {
		t.Errorf("%+v, %v", cfg, err)
	}
	for _, bad := range [][]string{{"-cache", "x"}, {"-cache", "-1s"}, {"extra"}, {"-redis", "redis://localhost"}, {"-redis", "redis://localhost", "-db", "sqlite:x"}, {"-redis", "localhost", "-db", "postgres://localhost/x"}, {"-redis", "redis://localhost", "-db", "postgres://localhost/x", "-replicas", "0"}, {"-refresh-grace", "2m"}, {"-jwt-access-ttl", "0s"}, {"-knox-ttl", "-1h"},
		{"-jwt-alg", "none"}, {"-jwt-alg", "hs256"}, {"-jwt-alg", "PS256"}, {"-jwt-alg", "EdDSA, ES256"},
		{"-login-rate", "5"}, {"-user", "foo"}, {"-user", "foo:"}, {"-addr", "foo"}, {"-addr", "127.0.0.1:99999"}, {"-addr", "127.0.0.1:no such service"}, {"-db", "mysql://x"}} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := parseFlags([]string{"-redis", "redis://:sesame@local host", "-db", "postgres://localhost/x"}); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("the password of -redis is in the error: %v", err)
	}
}
