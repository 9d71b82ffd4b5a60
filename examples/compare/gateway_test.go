package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// told is what the application behind the gateway was told.
func told(t *testing.T, body string) map[string]string {
	t.Helper()
	var m map[string]string
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("the application answered %q", body)
	}
	return m
}

// Real gateways with the configurations of the guide, TLS and all, in front of the comparison
// server and of an application that believes X-Auth-User.
func TestGateways(t *testing.T) {
	for _, gateway := range []string{"nginx", "caddy"} {
		t.Run(gateway, func(t *testing.T) {
			log := logged(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			serveCompare(t, l, "-origin", "https://app.example", "-proxies", "127.0.0.1", "-gateway", gateway)
			addr := startGateway(t, gateway, l.Addr().String(), application(t).Listener.Addr().String())
			gatewayPaths(t, client{t, addr}, gateway, log)
		})
	}
}

func gatewayPaths(t *testing.T, c client, gateway string, log *sink) {
	resp, _ := c.do("POST", "/login", "username=alice&password=wonderland-42&next=/x", "Origin: https://app.example")
	if resp.StatusCode != 303 || len(resp.Cookies()) == 0 || resp.Cookies()[0].Name != "__Host-session" {
		t.Fatalf("login: %d %v\n%s", resp.StatusCode, resp.Header, log)
	}
	cookie := "Cookie: __Host-session=" + resp.Cookies()[0].Value
	resp, body := c.do("GET", "/a?b=%2F", "", cookie)
	if resp.StatusCode != 200 {
		t.Fatalf("with a session: %d %s\n%s", resp.StatusCode, body, log)
	}
	alice := told(t, body)
	user := alice["X-Auth-User"]
	if user == "" || alice["X-Auth-Scheme"] != "session" || alice["X-Auth-Client"] != "" || alice["X-Auth-Scopes"] != "" || alice["uri"] != "/a?b=%2F" {
		t.Fatalf("the application was told %v", alice)
	}
	const evil, ours = "Origin: https://evil.example", "Origin: https://app.example"
	upgrade := []string{"Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}
	basic := basicAuth("alice", "wonderland-42")
	for name, tc := range map[string]struct {
		method, target string
		headers        []string
		want           int
		user           string // what the application is told
	}{
		"a write":                        {"POST", "/a", []string{cookie, ours, "Sec-Fetch-Site: same-origin"}, 200, user},
		"edge_A04/cross-site POST":       {"POST", "/a", []string{cookie, evil, "Sec-Fetch-Site: cross-site"}, 403, ""},
		"edge_A04/cross-site DELETE":     {"DELETE", "/a", []string{cookie, evil}, 403, ""},
		"edge_A04/by Sec-Fetch-Site":     {"POST", "/a", []string{cookie, "Sec-Fetch-Site: same-site"}, 403, ""},
		"edge_A04/with Basic":            {"POST", "/a", []string{basic, evil}, 403, ""},
		"edge_A04/null origin":           {"POST", "/a", []string{cookie, "Origin: null"}, 403, ""},
		"edge_B12/null origin, ours":     {"POST", "/a", []string{cookie, "Origin: null", "Sec-Fetch-Site: same-origin"}, 200, user},
		"a link":                         {"GET", "/a", []string{cookie, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 200, user},
		"edge_A04/WebSocket":             {"GET", "/a", append([]string{cookie, evil}, upgrade...), 403, ""},
		"edge_A04/WebSocket, ours":       {"GET", "/a", append([]string{cookie, ours}, upgrade...), 200, user},
		"edge_A04/another method by us":  {"PROPFIND", "/a", []string{cookie, evil}, 403, ""},
		"edge_A04/encoded slash":         {"GET", "/open%2fadmin", []string{cookie}, 403, ""},
		"edge_A04/encoded dots":          {"GET", "/open/..%2fadmin", []string{cookie}, 403, ""},
		"edge_A04/dots":                  {"GET", "/open/../admin", []string{cookie}, 403, ""},
		"edge_A04/parameters":            {"GET", "/open/..;/admin", []string{cookie}, 403, ""},
		"edge_A04/two slashes":           {"GET", "/open//admin", []string{cookie}, 403, ""},
		"edge_A04/spoofed X-Original-":   {"POST", "/a", []string{cookie, evil, "X-Original-Method: GET", "X-Original-URI: /open", "X-Original-Host: app.example"}, 403, ""},
		"edge_A04/spoofed X-Forwarded-":  {"POST", "/a", []string{cookie, evil, "X-Forwarded-Method: GET", "X-Forwarded-Uri: /open", "X-Forwarded-Host: app.example"}, 403, ""},
		"edge_A04/harmless X-Original-":  {"GET", "/a", []string{cookie, "X-Original-Method: POST", "X-Original-URI: /admin"}, 200, user},
		"edge_A04/harmless X-Forwarded-": {"GET", "/a", []string{cookie, "X-Forwarded-Method: POST", "X-Forwarded-Uri: /admin", "X-Forwarded-Proto: http", "X-Forwarded-For: 1.1.1.1"}, 200, user},
		"edge_A04/X-Auth-User":           {"GET", "/a", []string{cookie, "X-Auth-User: 666", "X-Auth-Client: 666", "X-Auth-Issuer: 666"}, 200, user},
		"edge_A04/hop by hop":            {"POST", "/a", []string{cookie, evil, "Connection: X-Original-Method, X-Forwarded-Method, X-Forwarded-Uri, X-Forwarded-Proto", "X-Original-Method: GET"}, 403, ""},
		"edge_A04/hop by hop, identity":  {"GET", "/a", []string{cookie, "Connection: X-Auth-Client, X-Auth-Issuer", "X-Auth-Client: 666"}, 200, user},
		"anonymous":                      {"GET", "/a", nil, 401, ""},
		"edge_A04/anonymous X-Auth-User": {"GET", "/a", []string{"X-Auth-User: 666"}, 401, ""},
		"a bad session":                  {"GET", "/a", []string{"Cookie: __Host-session=junk"}, 401, ""},
		"a bad token":                    {"GET", "/a", []string{"Authorization: Token junk", cookie}, 401, ""},
		"Basic":                          {"GET", "/a", []string{basic}, 200, user},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := c.do(tc.method, tc.target, "", tc.headers...)
			if resp.StatusCode != tc.want || (resp.Header.Get("X-App") != "") != (tc.want == 200) {
				t.Fatalf("%d %s, want %d\n%s", resp.StatusCode, body, tc.want, log)
			}
			if n := len(resp.Header["Www-Authenticate"]); tc.want == 401 && n != 1 && (gateway == "nginx" || n == 0) {
				t.Errorf("%d challenges: %q", n, resp.Header["Www-Authenticate"])
			}
			if tc.want != 200 {
				return
			}
			m := told(t, body)
			for name, value := range m {
				switch name {
				case "X-Auth-User", "X-Auth-Scheme", "method", "uri":
				default:
					if value != "" {
						t.Errorf("edge_A04: the application was told %s: %q", name, value)
					}
				}
			}
			if m["X-Auth-User"] != tc.user || m["method"] != tc.method || m["uri"] != tc.target {
				t.Errorf("the application was told %v", m)
			}
		})
	}
	// A client's headers in another spelling reach nobody who could take them for ours.
	for _, spelling := range []string{"X_Auth_User", "x-auth_user", "X.Auth.User"} {
		resp, body := c.do("GET", "/a", "", cookie, spelling+": 666")
		if strings.Contains(body, "666") {
			t.Errorf("edge_A04: %s: %d %s", spelling, resp.StatusCode, body)
		}
	}
	// A person who opens a page is sent to the login page, and back.
	resp, body = c.do("GET", "/a/b?c=d&e=f", "", "Accept: text/html", "Sec-Fetch-Mode: navigate")
	to := resp.Header.Get("Location")
	if resp.StatusCode != 303 || !strings.HasSuffix(to, "/login?next=%2Fa%2Fb%3Fc%3Dd%26e%3Df") || strings.Contains(to, "evil") {
		t.Errorf("edge_A04/page: %d %q %s", resp.StatusCode, to, body)
	}
	// A logout reaches the server, whoever asks: this one has no such page.
	if resp, body := c.do("POST", "/logout", "", "Origin: https://app.example"); resp.StatusCode != 404 || resp.Header.Get("X-App") != "" {
		t.Errorf("/logout: %d %s", resp.StatusCode, body)
	}
	// The sub-request's own path belongs to the gateway.
	if resp, body := c.do("GET", "/forward-auth", "", cookie); gateway == "nginx" && resp.StatusCode != 404 || resp.Header.Get("X-Auth-User") != "" {
		t.Errorf("/forward-auth from outside: %d %v %s", resp.StatusCode, resp.Header, body)
	}
}

// A configuration that forgets a line closes the door.
func TestGatewayForgets(t *testing.T) {
	log := logged(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveCompare(t, l, "-origin", "https://app.example", "-proxies", "127.0.0.1")
	app := application(t)
	cert, key := certificate(t)
	for _, line := range []string{"X-Original-Method  $request_method;", "X-Original-URI     $request_uri;", "X-Original-Host    $host;"} {
		addr := freeAddr(t)
		config := replace(t, guide(t, "nginx", 1), "127.0.0.1:8080", l.Addr().String(), "127.0.0.1:9000", app.Listener.Addr().String(), "443 ssl", addr+" ssl",
			"/etc/ssl/app.example.pem", cert, "/etc/ssl/app.example.key", key, "proxy_set_header "+line, "")
		startNginx(t, addr, config)
		name, _, _ := strings.Cut(line, " ")
		if resp, _ := (client{t, addr}).do("GET", "/a", "", basicAuth("alice", "wonderland-42")); resp.StatusCode != 403 {
			t.Errorf("edge_A04/without %s: %d", name, resp.StatusCode)
		}
		if !strings.Contains(log.String(), "is missing") {
			t.Errorf("edge_A04/without %s: the log says %s", name, log)
		}
	}
}

// A server on a Unix socket behind nginx: limits count clients, cookies travel over https.
func TestUnixSocketBehindNginx(t *testing.T) {
	for _, named := range []bool{true, false} {
		t.Run(fmt.Sprint("edge_C09/named ", named), func(t *testing.T) {
			log := logged(t)
			path := filepath.Join(t.TempDir(), "app.sock")
			l, err := demo.Listen("unix:" + path)
			if err != nil {
				t.Fatal(err)
			}
			flags := []string{"-origin", "https://app.example", "-login-rate", "5/m"}
			if named {
				flags = append(flags, "-proxies", "unix")
			}
			serveCompare(t, l, flags...)
			addr := freeAddr(t)
			cert, key := certificate(t)
			config := replace(t, guide(t, "nginx", 0), "443 ssl", addr+" ssl", "unix:/run/app/app.sock", "unix:"+path, "/etc/ssl/app.example.pem", cert, "/etc/ssl/app.example.key", key,
				"$remote_addr; # behind", "$http_x_test_client; # behind") // clients of several addresses
			startNginx(t, addr, config)
			c := client{t, addr}
			login := func(name, password, from string) *http.Response {
				resp, _ := c.do("POST", "/session/login", `{"username":"`+name+`","password":"`+password+`"}`, "Origin: https://app.example", "X-Test-Client: "+from)
				return resp
			}
			if !named {
				if resp := login("alice", "wonderland-42", "203.0.113.1"); resp.StatusCode != 403 || !strings.Contains(log.String(), "authn.UnixSocket") {
					t.Errorf("without the option: %d\n%s", resp.StatusCode, log)
				}
				return
			}
			for i := range 5 { // strangers at one address use up what it may try at one account
				if resp := login("bob", "x", "203.0.113.66"); resp.StatusCode != 401 {
					t.Fatalf("stranger %d: %d\n%s", i, resp.StatusCode, log)
				}
			}
			if resp := login("bob", "x", "203.0.113.66"); resp.StatusCode != 429 {
				t.Errorf("the strangers are not limited: %d", resp.StatusCode)
			}
			resp := login("alice", "wonderland-42", "203.0.113.1")
			if resp.StatusCode != 200 || len(resp.Cookies()) == 0 || !strings.HasPrefix(resp.Cookies()[0].Name, "__Host-") {
				t.Fatalf("the owner: %d %v\n%s", resp.StatusCode, resp.Header, log)
			}
			var cookie string
			for _, set := range resp.Cookies() {
				if set.Name == "__Host-session" {
					cookie = "Cookie: __Host-session=" + set.Value
				}
			}
			if resp, body := c.do("GET", "/api/session/profile", "", cookie); resp.StatusCode != 200 {
				t.Errorf("with the session: %d %s", resp.StatusCode, body)
			}
			if resp, _ := c.do("POST", "/api/notes", `{"text":"x"}`, cookie, "Origin: https://evil.example"); resp.StatusCode != 403 {
				t.Errorf("cross-site: %d", resp.StatusCode)
			}
		})
	}
}

// Forward auth on every store, by the contract.
func TestForwardAuth(t *testing.T) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, ring *keys.Ring) {
		cfg, err := parseFlags([]string{"-origin", "https://app.example", "-proxies", "127.0.0.1", "-cache", "off"})
		if err != nil {
			t.Fatal(err)
		}
		flags.Origin, flags.Proxies = cfg.Origin, cfg.Proxies
		cfg.Flags, cfg.Base = flags, cfg.Origin
		h, err := testServer(t, cfg, db, ring)
		if err != nil {
			t.Fatal(err)
		}
		c := demotest.NewClient(t, h)
		token := c.Token("/token/login", "alice", "wonderland-42")
		describe := func(method, uri string) []string {
			return []string{"X-Original-Method: " + method, "X-Original-URI: " + uri, "X-Original-Host: app.example", "X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9"}
		}
		app := []string{"X-Forwarded-Proto: https", "Origin: https://app.example"}
		login, err := http.NewRequest("POST", c.S.URL+"/session/login", strings.NewReader(alicesLogin))
		if err != nil {
			t.Fatal(err)
		}
		login.Host = "app.example"
		login.Header.Set("Content-Type", "application/json")
		for _, line := range app {
			name, value, _ := strings.Cut(line, ": ")
			login.Header.Set(name, value)
		}
		resp, err := http.DefaultTransport.RoundTrip(login)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		var cookie string
		for _, set := range resp.Cookies() {
			if set.Name == "__Host-session" {
				cookie = "Cookie: __Host-session=" + set.Value
			}
		}
		if cookie == "" {
			t.Fatalf("login: %d", resp.StatusCode)
		}
		for _, path := range []string{"/forward-auth", "/forward-auth/"} {
			for _, method := range []string{"GET", "POST", "OPTIONS"} {
				resp := c.Is(204, "", method, path, "", append(describe("POST", "/a"), token)...)
				if resp.Header.Get("X-Auth-User") == "" || resp.Header.Get("X-Auth-Scheme") != "token" || len(resp.Header["X-Auth-Client"]) != 1 || len(resp.Header["X-Auth-Scopes"]) != 1 {
					t.Errorf("%s: %v", method, resp.Header)
				}
			}
		}
		c.Is(204, "", "GET", "/forward-auth", "", append(describe("GET", "/a"), cookie)...)
		c.Is(204, "", "GET", "/forward-auth", "", append(describe("POST", "/a"), cookie, "Origin: https://app.example")...)
		c.Is(403, "*", "GET", "/forward-auth", "", append(describe("POST", "/a"), cookie, "Origin: https://evil.example")...)
		c.Is(403, "*", "GET", "/forward-auth", "", token)
		c.Is(403, "*", "GET", "/forward-auth", "", append(describe("GET", "/a"), token, "X-Forwarded-Uri: /b")...)
		c.Is(400, "*", "GET", "/forward-auth", "", append(describe("GET", "/a"), token, "X-Auth-User: 1")...)
		c.Is(401, missing, "GET", "/forward-auth", "", describe("GET", "/a")...)
		resp = c.Is(401, missing, "GET", "/forward-auth", "", append(describe("GET", "/a?b"), "Accept: text/html")...)
		if resp.Header.Get("Location") != "/login?next=%2Fa%3Fb" || len(resp.Header["X-Auth-User"]) != 1 {
			t.Errorf("edge_A04/page: %v", resp.Header)
		}
		db.Close()
		c.Is(503, "*", "GET", "/forward-auth", "", append(describe("GET", "/a"), cookie)...)
	}, gormstore.Options{})
}

// Without trusted proxies nobody is asked, and odd flags end the program.
func TestGatewayFlags(t *testing.T) {
	for _, bad := range [][]string{{"-proxies", "x"}, {"-gateway", "apache"}, {"-origin", "http://app.example"}, {"-origin", "https://app.example/"}, {"-addr", "unix:"}} {
		if _, err := parseFlags(bad); err == nil || !strings.Contains(err.Error(), bad[0]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	cfg, err := parseFlags([]string{"-proxies", "unix, 10.0.0.0/8", "-addr", "unix:/x", "-gateway", "envoy"})
	if err != nil || !cfg.Proxies.TrustsUnixSocket() || len(cfg.Proxies.Networks()) != 1 {
		t.Errorf("%v", err)
	}
}
