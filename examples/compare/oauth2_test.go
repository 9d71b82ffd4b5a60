package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
)

// oauth2Paths walks the demo clients through their grants.
func oauth2Paths(t *testing.T, c demotest.Client) {
	const verifier, callback = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "http://127.0.0.1:40123/callback"
	sum := sha256.Sum256([]byte(verifier))
	query := func(scope string) string {
		return "/oauth2/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {"demo-public"}, "redirect_uri": {callback}, "scope": {scope}, "state": {"s"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		}.Encode()
	}
	confidential := basicAuth("demo-confidential", "demo-secret")
	tokens := func(form string, headers ...string) (access, refresh string) {
		t.Helper()
		resp, text := c.Do("POST", "/oauth2/token", form, headers...)
		var body struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
		}
		if err := json.Unmarshal([]byte(text), &body); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %d %s", form, resp.StatusCode, text)
		}
		return "Authorization: Bearer " + body.Access, body.Refresh
	}

	if to := c.Is(303, "", "GET", query("profile"), "").Header.Get("Location"); !strings.HasPrefix(to, "/login?next=%2Foauth2%2Fauthorize%3F") {
		t.Errorf("nobody is sent to %q", to)
	}
	mine := sessionCookie(c.Is(200, "*", "POST", "/session/login", alicesLogin))
	if to := c.Is(303, "", "GET", query("unknown"), "", mine).Header.Get("Location"); !strings.HasPrefix(to, callback+"?error=invalid_scope") {
		t.Errorf("an unknown scope: %q", to)
	}
	if resp := c.Is(400, "*", "GET", strings.Replace(query("profile"), "40123", "40123%2Fevil", 1), "", mine); resp.Header.Get("Location") != "" {
		t.Error("a redirect to an address that nobody registered")
	}
	// The port is free for the native client alone.
	if resp := c.Is(400, "*", "GET", strings.Replace(query("profile"), "demo-public", "demo-confidential", 1), "", mine); resp.Header.Get("Location") != "" {
		t.Error("another port for a client that is not native")
	}
	_, page := c.Do("GET", query("profile notes:read"), "", mine)
	handle := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(page)
	if handle == nil || !strings.Contains(page, `name="decision" value="allow"`) || !strings.Contains(page, `name="decision" value="deny"`) {
		t.Fatalf("no consent page: %s", page)
	}
	decision := "handle=" + handle[1] + "&decision=allow"
	t.Run("attack_146_csrf", func(t *testing.T) {
		// One says not where it comes from, and has no token; the others come from elsewhere.
		for _, headers := range [][]string{{mine}, {mine, "Origin: https://evil.example"}, {mine, "Origin: null"}, {mine, "Sec-Fetch-Site: cross-site"}, {mine, "Sec-Fetch-Site: same-site"}} {
			if resp, text := c.Do("POST", "/oauth2/authorize", decision, headers...); resp.StatusCode != 403 || resp.Header.Get("Location") != "" {
				t.Errorf("%q: %d %s", headers[1:], resp.StatusCode, text)
			}
		}
	})
	token := regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`).FindStringSubmatch(page)
	if token == nil {
		t.Fatal("the form has no token")
	}
	decision += "&csrfmiddlewaretoken=" + token[1]
	c.Is(403, "*", "POST", "/oauth2/authorize", decision, mine, "Origin: https://evil.example")
	to, err := url.Parse(c.Is(303, "", "POST", "/oauth2/authorize", decision, mine).Header.Get("Location"))
	if err != nil || to.Query().Get("state") != "s" || to.Query().Get("iss") == "" {
		t.Fatalf("%s, %v", to, err)
	}
	form := "grant_type=authorization_code&client_id=demo-public&redirect_uri=" + url.QueryEscape(callback) + "&code_verifier=" + verifier + "&code=" + to.Query().Get("code")
	access, refresh := tokens(form)
	const alices = `{"username":"alice","email":"alice@example.com","scheme":"oauth2","client":"demo-public"}`
	c.Is(200, alices, "GET", "/api/profile", "", access)
	c.Is(200, alices, "GET", "/api/oauth2/profile/", "", access)
	c.Is(200, "*", "GET", "/api/notes", "", access)
	if resp := c.Is(403, "*", "POST", "/api/notes", `{"text":"x"}`, access); resp.Header.Get("WWW-Authenticate") != `Bearer error="insufficient_scope", scope="notes:write"` {
		t.Errorf("%v", resp.Header)
	}
	c.Is(403, denied, "GET", "/api/admin", "", access)
	c.Is(403, denied, "POST", "/logout-everywhere", "", access)
	c.Is(403, "*", "GET", "/knox/tokens", "", access)
	grantPaths(t, c, mine, access)
	t.Run("edge_C22/introspection", func(t *testing.T) {
		_, text := c.Do("POST", "/oauth2/introspect", "token="+strings.TrimPrefix(access, "Authorization: Bearer "), confidential)
		if !strings.Contains(text, `"active":true`) || !strings.Contains(text, `"username":"alice"`) || !strings.Contains(text, `"client_id":"demo-public"`) {
			t.Error(text)
		}
	})
	next, _ := tokens("grant_type=refresh_token&client_id=demo-public&refresh_token=" + refresh)
	c.Is(200, alices, "GET", "/api/profile", "", next)
	// The code again: what came of it ends.
	c.Is(400, "*", "POST", "/oauth2/token", form)
	c.Is(401, invalid, "GET", "/api/profile", "", next)

	own, _ := tokens("grant_type=client_credentials&scope=profile", confidential)
	c.Is(200, `{"username":"","email":"","scheme":"oauth2","client":"demo-confidential"}`, "GET", "/api/profile", "", own)
	if _, text := c.Do("POST", "/oauth2/introspect", "token="+strings.TrimPrefix(own, "Authorization: Bearer "), confidential); !strings.Contains(text, `"active":true`) {
		t.Error(text)
	}
	c.Is(200, "", "POST", "/oauth2/revoke", "token="+strings.TrimPrefix(own, "Authorization: Bearer "), confidential)
	c.Is(401, invalid, "GET", "/api/open", "", own)
	c.Is(401, "*", "POST", "/oauth2/token", "grant_type=client_credentials", basicAuth("demo-confidential", "wrong"))
	c.Is(200, "*", "GET", "/.well-known/oauth-authorization-server", "")
	dpopPaths(t, c)
}

// devicePaths walks a device through its grant.
func devicePaths(t *testing.T, c demotest.Client) {
	var begun struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		Complete string `json:"verification_uri_complete"`
	}
	resp, text := c.Do("POST", "/oauth2/device_authorization", "client_id=demo-public&scope=profile")
	if err := json.Unmarshal([]byte(text), &begun); err != nil || resp.StatusCode != 200 || !strings.HasSuffix(begun.Complete, "/oauth2/device?user_code="+begun.User) {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	poll := "grant_type=" + url.QueryEscape("urn:ietf:params:oauth:grant-type:device_code") + "&client_id=demo-public&device_code=" + begun.Device
	for _, want := range []string{"authorization_pending", "slow_down"} {
		if resp, text := c.Do("POST", "/oauth2/token", poll); resp.StatusCode != 400 || !strings.Contains(text, want) {
			t.Errorf("%d %s, want %s", resp.StatusCode, text, want)
		}
	}
	page := "/oauth2/device?user_code=" + begun.User
	for method, next := range map[string]string{"GET": page, "POST": "/oauth2/device"} {
		if to := c.Is(303, "", method, page, "").Header.Get("Location"); to != "/login?next="+url.QueryEscape(next) {
			t.Errorf("%s: nobody is sent to %q", method, to)
		}
	}
	c.Is(403, "*", "GET", page, "", basicAuth("alice", "wonderland-42"))
	mine := sessionCookie(c.Is(200, "*", "POST", "/session/login", alicesLogin))
	_, form := c.Do("GET", page, "", mine)
	token := regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`).FindStringSubmatch(form)
	if token == nil || !strings.Contains(form, `name="user_code" value="`+begun.User+`"`) {
		t.Fatalf("no form: %s", form)
	}
	code := "user_code=" + strings.ToLower(strings.ReplaceAll(begun.User, "-", "")) + "&csrfmiddlewaretoken=" + token[1]
	c.Is(403, "*", "POST", "/oauth2/device", code, mine, "Origin: https://evil.example")
	_, asked := c.Do("POST", "/oauth2/device", code, mine)
	handle := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(asked)
	if handle == nil || !strings.Contains(asked, "Public demo") || !strings.Contains(asked, begun.User) || !strings.Contains(asked, `name="decision" value="allow"`) {
		t.Fatalf("nobody is asked: %s", asked)
	}
	c.Is(200, "*", "POST", "/oauth2/device/", "handle="+handle[1]+"&decision=allow&csrfmiddlewaretoken="+token[1], mine)
	var got struct {
		Access string `json:"access_token"`
	}
	if resp, text := c.Do("POST", "/oauth2/token", poll); resp.StatusCode != 200 || json.Unmarshal([]byte(text), &got) != nil {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	c.Is(200, `{"username":"alice","email":"alice@example.com","scheme":"oauth2","client":"demo-public"}`, "GET", "/api/profile", "", "Authorization: Bearer "+got.Access)
	c.Is(400, "*", "POST", "/oauth2/token", poll)
}

// grantPaths walks what a user sees of the one grant, and leaves it.
func grantPaths(t *testing.T, c demotest.Client, mine, access string) {
	t.Helper()
	_, list := c.Do("GET", "/oauth2/grants", "", mine)
	m := regexp.MustCompile(`^\[\{"id":"([^"]+)","client":"demo-public","name":"Public demo","scopes":\["profile","notes:read"\],"created":"[^"]+","expiry":"[^"]+","resource":\["http://127.0.0.1:8080"\]\}\]`).FindStringSubmatch(list)
	if m == nil {
		t.Fatal(list)
	}
	c.Is(401, missing, "GET", "/oauth2/grants", "")
	c.Is(403, denied, "GET", "/oauth2/grants", "", access)
	c.Is(403, denied, "DELETE", "/oauth2/grants/"+m[1], "", access)
	c.Is(403, "*", "DELETE", "/oauth2/grants/"+m[1], "", mine, "Origin: https://evil.example")
	c.Is(404, "*", "DELETE", "/oauth2/grants/x", "", mine)
	if to := c.Is(303, "", "GET", "/oauth2/applications", "").Header.Get("Location"); !strings.HasPrefix(to, "/login?next=%2Foauth2%2Fapplications") {
		t.Error(to)
	}
	_, page := c.Do("GET", "/oauth2/applications", "", mine)
	token := regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`).FindStringSubmatch(page)
	if token == nil || !strings.Contains(page, `name="grant" value="`+m[1]+`"`) {
		t.Fatal(page)
	}
	c.Is(403, "*", "POST", "/oauth2/applications", "grant="+m[1], mine) // says not where it comes from, and has no token
	c.Is(403, "*", "POST", "/oauth2/applications", "grant="+m[1]+"&csrfmiddlewaretoken="+token[1], mine, "Origin: https://evil.example")
	c.Is(303, "", "POST", "/oauth2/applications", "grant=x&csrfmiddlewaretoken="+token[1], mine)
	c.Is(200, "*", "GET", "/api/profile", "", access)
}
