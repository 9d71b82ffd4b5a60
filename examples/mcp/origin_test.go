package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
)

// send sends a first message to the tools with any method, and headers as pairs.
func send(t *testing.T, method, issuer string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, issuer+"/mcp", strings.NewReader(initialize))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// M19: the page of another site is refused, with a token and without, whatever the method, and under
// a name that points to this machine.
func TestM19ForeignOrigin(t *testing.T) {
	issuer := start(t, server.Fetching{})
	token := "Bearer " + tokens(t, issuer, alice()).Access
	for name, x := range map[string]struct {
		headers []string
		want    int
	}{
		"a program":       {nil, 200},
		"its own page":    {[]string{"Origin", issuer, "Sec-Fetch-Site", "same-origin"}, 200},
		"a known client":  {[]string{"Origin", page, "Sec-Fetch-Site", "cross-site"}, 200},
		"another site":    {[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		"only Origin":     {[]string{"Origin", "https://evil.example"}, 403},
		"two origins":     {[]string{"Origin", page, "Origin", "https://evil.example"}, 403},
		"null":            {[]string{"Origin", "null"}, 403},
		"another port":    {[]string{"Origin", "http://127.0.0.1:1"}, 403},
		"rebound name":    {[]string{"Host", "evil.example", "Origin", "http://evil.example"}, 403},
		"rebound, quiet":  {[]string{"Host", "evil.example"}, 403},
		"rebound, client": {[]string{"Host", "evil.example", "Origin", page}, 403},
	} {
		for _, method := range []string{"POST", "GET", "DELETE", "OPTIONS"} {
			want, anonymous := x.want, x.want
			if want == 200 {
				anonymous = 401
				if method != "POST" {
					want = 405 // without a session of the transport there is nothing to read or to end
				}
			}
			if got := send(t, method, issuer, append([]string{"Authorization", token}, x.headers...)...); got.StatusCode != want {
				t.Errorf("%s, %s: %d, want %d", name, method, got.StatusCode, want)
			}
			if got := send(t, method, issuer, x.headers...); got.StatusCode != anonymous {
				t.Errorf("%s, %s without a token: %d, want %d", name, method, got.StatusCode, anonymous)
			}
		}
	}
}

// Scripts of known clients call the tools and read the challenge. Others learn nothing.
func TestCORS(t *testing.T) {
	issuer := start(t, server.Fetching{})
	asks := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,mcp-protocol-version"}
	resp := send(t, "OPTIONS", issuer, append(asks, "Origin", page)...)
	h := resp.Header
	if resp.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != page || h.Get("Access-Control-Allow-Methods") != "GET, POST, DELETE" || h.Get("Access-Control-Max-Age") == "" {
		t.Errorf("preflight: %d %v", resp.StatusCode, h)
	}
	allowed := strings.Split(strings.ToLower(h.Get("Access-Control-Allow-Headers")), ", ")
	for _, name := range []string{"*", "authorization", "content-type", "accept", "dpop", "last-event-id", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"} {
		found := false
		for _, a := range allowed {
			found = found || a == name
		}
		if !found {
			t.Errorf("%s is not allowed: %v", name, allowed)
		}
	}
	resp = send(t, "POST", issuer, "Origin", page)
	h = resp.Header
	if resp.StatusCode != 401 || h.Get("Access-Control-Allow-Origin") != page || h.Get("WWW-Authenticate") == "" || h.Get("Vary") != "Origin" {
		t.Errorf("challenge: %d %v", resp.StatusCode, h)
	}
	for _, name := range []string{"WWW-Authenticate", "Mcp-Session-Id", "DPoP-Nonce", "Retry-After"} {
		if !strings.Contains(h.Get("Access-Control-Expose-Headers"), name) {
			t.Errorf("%s cannot be read: %s", name, h.Get("Access-Control-Expose-Headers"))
		}
	}
	for _, origin := range []string{"https://evil.example", "null", page + ".evil.example"} {
		resp := send(t, "OPTIONS", issuer, append(asks, "Origin", origin)...)
		if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != 403 || got != "" {
			t.Errorf("%s: %d, allowed %q", origin, resp.StatusCode, got)
		}
	}
	if got := send(t, "POST", issuer, "Origin", page).Header.Get("Access-Control-Allow-Credentials"); got != "" {
		t.Errorf("cookies are allowed: %q", got)
	}
}

// A list of origins is checked at the start.
func TestClientOrigins(t *testing.T) {
	for _, list := range []string{"*", "client.example", "https://client.example/", "https://Client.example", "https://a.example,", "ftp://a.example", "https://a.example/x", "https://u@a.example"} {
		if got, err := parseOrigins(list); err == nil {
			t.Errorf("%q is accepted: %q", list, got)
		}
	}
	got, err := parseOrigins("https://a.example,http://127.0.0.1:6274")
	if err != nil || len(got) != 2 || got[1] != "http://127.0.0.1:6274" {
		t.Errorf("%q, %v", got, err)
	}
}
