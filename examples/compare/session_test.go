package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
)

// sessionCookie is that of an answer, as a request carries it.
func sessionCookie(resp *http.Response) string {
	for _, c := range resp.Cookies() {
		if c.Name == "session" {
			return "Cookie: session=" + c.Value
		}
	}
	return ""
}

func sessionPaths(t *testing.T, c demotest.Client) {
	const want = `{"username":"alice","email":"alice@example.com","scheme":"session"}`
	resp := c.Is(200, `{"username":"alice"}`, "POST", "/session/login", alicesLogin)
	mine := sessionCookie(resp)
	if set := resp.Header.Get("Set-Cookie"); !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") || strings.Contains(set, "Domain") {
		t.Errorf("cookie %q", set)
	}
	c.Is(200, want, "GET", "/api/profile", "", mine)
	c.Is(200, want, "GET", "/api/session/profile/", "", mine)
	c.Is(401, missing, "GET", "/api/session/profile", "")
	c.Is(200, `{"username":"alice"}`, "GET", "/api/open", "", mine)
	c.Is(403, denied, "GET", "/api/admin", "", mine)
	// A bad one is refused, two of them are, and an explicit credential goes first.
	c.Is(401, `{"detail":"Invalid session."}`, "GET", "/api/open", "", "Cookie: session=junk")
	c.Is(401, `{"detail":"Invalid session."}`, "GET", "/api/open", "", mine+"; session=x")
	c.Is(401, invalid, "GET", "/api/open", "", mine, "Authorization: Token junk")
	// What another site makes the browser send is refused.
	for _, from := range []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"} {
		c.Is(403, "*", "POST", "/api/notes", `{"text":"x"}`, mine, from)
		c.Is(403, "*", "POST", "/session/login", alicesLogin, from)
		c.Is(403, "*", "POST", "/session/logout", "", mine, from)
	}
	resp = c.Is(401, wrong, "POST", "/session/login", `{"username":"alice","password":"x"}`)
	if resp.Header.Get("WWW-Authenticate") != `Session realm="api"` || len(resp.Cookies()) != 0 {
		t.Errorf("%v", resp.Header)
	}
	c.Is(400, `{"username":["This field is required."],"password":["This field is required."]}`, "POST", "/session/login", "{}")
	c.Is(204, "", "POST", "/session/logout", "", mine)
	c.Is(401, `{"detail":"Invalid session."}`, "GET", "/api/profile", "", mine)
	c.Is(204, "", "POST", "/session/logout", "", mine)

	mine = sessionCookie(c.Is(200, "*", "POST", "/session/login", alicesLogin, mine))
	c.Is(204, "", "POST", "/logout-everywhere", "", mine)
	c.Is(401, "*", "GET", "/api/profile", "", mine)

	if resp := c.Is(200, "*", "GET", "/login?next=/api/profile", ""); !strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Error("the login page may be framed")
	}
	c.Is(401, "*", "POST", "/login", "username=alice&password=x&next=/api/profile")
}
