package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/keys"
)

// Two servers over one PostgreSQL and one Redis share limits, proofs and sessions. Without the Redis,
// sessions and proofs get 503, and tokens work.
func TestRedis(t *testing.T) {
	redistest.Quiet()
	r := redistest.Start(t)
	flags := demo.Flags{Addr: "127.0.0.1:0", DB: storetest.URL(t), LoginRate: "10/m", FailureFloor: time.Nanosecond, KeyFile: t.TempDir() + "/key"}
	if _, _, err := keys.Create(flags.KeyFile); err != nil {
		t.Fatal(err)
	}
	var servers [2]demotest.Client
	for i := range servers {
		cfg, err := parseFlags([]string{"-db", flags.DB, "-redis", r.URL(), "-replicas", "2", "-cache", "off"})
		if err != nil {
			t.Fatal(err)
		}
		flags.Users = cfg.Users
		cfg.Flags = flags
		cfg.Demo = true
		demotest.Weaken(t, &cfg.Flags)
		db, ring, cleanup, err := cfg.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cleanup)
		closeRedis, err := cfg.openRedis(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(closeRedis)
		h, err := testServer(t, cfg, db, ring)
		if err != nil {
			t.Fatal(err)
		}
		servers[i] = demotest.NewClient(t, h)
	}
	a, b := servers[0], servers[1]
	sessionPaths(t, a)
	dpopPaths(t, b)
	count := func(name string) (tried int) {
		for i := range 40 {
			resp, _ := servers[i%2].Do("POST", "/token/login", `{"username":"`+name+`","password":"wrong"}`)
			switch resp.StatusCode {
			case http.StatusUnauthorized:
				tried++
			case http.StatusTooManyRequests:
			default:
				t.Fatalf("login: %d", resp.StatusCode)
			}
		}
		return tried
	}

	token := a.Token("/token/login", "bob", "bob-the-builder-42")
	mine := sessionCookie(a.Is(200, "*", "POST", "/session/login", alicesLogin))
	b.Is(200, `{"username":"alice","email":"alice@example.com","scheme":"session"}`, "GET", "/api/session/profile", "", mine)
	bound, proofFor, _ := boundToken(t, a)
	proof := proofFor("/api/profile")
	a.Is(200, "*", "GET", "/api/profile", "", bound, proof)
	b.Is(401, "*", "GET", "/api/profile", "", bound, proof)
	if n := count("nobody"); n != 10 {
		t.Errorf("%d guesses at two servers, want 10", n)
	}

	devices := 0
	for i := range 40 {
		resp, _ := servers[i%2].Do("POST", "/oauth2/device_authorization", "client_id=demo-public&scope=profile")
		if resp.StatusCode == http.StatusOK {
			devices++
		}
	}
	if devices != 5 {
		t.Errorf("%d device codes of two servers, want 5 a minute for an address", devices)
	}

	r.Kill()
	b.Is(503, "*", "GET", "/api/session/profile", "", mine)
	b.Is(503, "*", "GET", "/api/profile", "", bound, proofFor("/api/profile"))
	b.Is(200, "*", "GET", "/api/profile", "", token)
	a.Is(200, "*", "GET", "/healthz", "")
	if n := count("somebody"); n != 10 {
		t.Errorf("%d guesses without Redis, want 5 at each of two servers", n)
	}
	a.Is(503, "*", "POST", "/session/logout", "", mine) // else the user would believe that it worked
	b.Is(204, "", "POST", "/logout-everywhere", "", token)
	b.Is(401, "*", "GET", "/api/profile", "", token)
}
