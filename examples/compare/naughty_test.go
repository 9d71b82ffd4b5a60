package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// naughty reads the list, each text once.
func naughty(t *testing.T) (list []string) {
	t.Helper()
	dir := os.Getenv("VESTIBULE_VECTORS")
	text, err := os.ReadFile(filepath.Join(dir, "security", "naughty-strings", "blns.json"))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("the naughty strings did not run: set VESTIBULE_VECTORS to the folder that holds security/naughty-strings")
	}
	var all []string
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range append(all, "\x00", "a\x00b", "\u2028", strings.Repeat("x", 70000)) {
		if !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	return list
}

func jsonBody(fields ...string) string {
	m := map[string]string{}
	for i := 0; i < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	b, _ := json.Marshal(m) // of texts: it cannot fail
	return string(b)
}

// with puts a text into one field of a form after the other.
func with(base url.Values, s string) (forms []string) {
	for name := range base {
		v := url.Values{}
		for n := range base {
			v.Set(n, base.Get(n))
		}
		v.Set(name, s)
		forms = append(forms, v.Encode())
	}
	return forms
}

// Texts that break programs go through every path, in each field, as path, query and header:
// nothing is a fault of the server, what is refused is refused cleanly, and a note is what it
// was.
func TestNaughtyStrings(t *testing.T) {
	if testing.Short() {
		t.Skip("some ten thousand requests")
	}
	c := newClient(t)
	token := c.Token("/token/login", "alice", "wonderland-42")
	cookie := sessionCookie(c.Is(200, "*", "POST", "/session/login", alicesLogin))
	asks := url.Values{"response_type": {"code"}, "client_id": {"demo-public"}, "redirect_uri": {"http://127.0.0.1:1/callback"}, "scope": {"profile"}, "state": {"s"}, "code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"}}
	exchange := url.Values{"grant_type": {"authorization_code"}, "client_id": {"demo-public"}, "redirect_uri": {"http://127.0.0.1:1/callback"}, "code": {"x"}, "code_verifier": {strings.Repeat("a", 43)}, "scope": {"profile"}}
	renew := url.Values{"grant_type": {"refresh_token"}, "client_id": {"demo-public"}, "refresh_token": {"x"}, "scope": {""}}
	tokens := url.Values{"client_id": {"demo-public"}, "token": {"x"}, "token_type_hint": {"access_token"}}
	logins := []string{"/token/login", "/knox/login", "/jwt/token", "/session/login", "/login"}
	do := func(method, path, body string, headers ...string) (*http.Response, string) {
		t.Helper()
		for _, h := range headers {
			if _, v, _ := strings.Cut(h, ": "); strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return nil, "" // no header holds it
			}
		}
		resp, text := c.Do(method, path, body, headers...)
		for try := 0; resp.StatusCode == 503 && resp.Header.Get("Retry-After") != "" && try < 50; try++ { // the hash queue of a busy machine
			resp, text = c.Do(method, path, body, headers...)
		}
		if resp.StatusCode >= 500 {
			t.Errorf("%s %.200q %.200q %.200q: %d %s", method, path, body, headers, resp.StatusCode, text)
		}
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && text != "" && !json.Valid([]byte(text)) {
			t.Errorf("%s %.200q %.200q: not JSON: %s", method, path, body, text)
		}
		return resp, text
	}
	for i, s := range naughty(t) {
		in := url.QueryEscape(s)
		for _, body := range []string{jsonBody("text", s), "text=" + in} {
			resp, text := do("POST", "/api/notes", body, token)
			var note struct {
				ID   json.Number
				Text string
			}
			switch err := json.Unmarshal([]byte(text), &note); {
			case strings.TrimSpace(s) == "" || len(s) > 60000:
				if resp.StatusCode != 400 && resp.StatusCode != 413 {
					t.Errorf("a note of %.50q: %d", s, resp.StatusCode)
				}
				continue
			case err != nil || resp.StatusCode != 201 || note.Text != s:
				t.Errorf("a note of %q: %d %s", s, resp.StatusCode, text)
				continue
			}
			path := "/api/notes/" + note.ID.String()
			for _, change := range []string{"", jsonBody("text", s+s)} {
				want := s
				if change != "" {
					do("PUT", path, change, token)
					want = s + s
				}
				if _, text := do("GET", path, ""); json.Unmarshal([]byte(text), &note) != nil || note.Text != want {
					t.Errorf("the note of %q is %s", want, text)
				}
			}
			do("DELETE", path, "", token)
		}
		if len(s) > 8000 {
			continue // longer than a line of a request may be
		}
		in = url.PathEscape(s)
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			do(method, "/api/notes/"+in, jsonBody("text", "x"), token)
		}
		do("DELETE", "/knox/tokens/"+in, "", token)
		do("GET", "/api/"+in+"/profile", "", token)
		do("GET", "/"+in, "")
		in = url.QueryEscape(s)
		for _, path := range []string{"/?x=", "/login?next=", "/callback?code=", "/api/open?", "/api/profile?access_token=", "/oauth2/userinfo?access_token=", "/trace?token=", "/.well-known/jwks.json?", "/healthz?"} {
			do("GET", path+in, "")
		}
		for _, name := range []string{"request_uri", "prompt", "nonce", "request", "resource", "x"} {
			do("GET", "/oauth2/authorize?"+asks.Encode()+"&"+name+"="+in, "", cookie)
		}
		for _, query := range with(asks, s) {
			if resp, _ := do("GET", "/oauth2/authorize?"+query, "", cookie); resp.StatusCode == 303 {
				if to := resp.Header.Get("Location"); !strings.HasPrefix(to, "http://127.0.0.1:1/callback?") && !strings.HasPrefix(to, "http://127.0.0.1/callback?") && !strings.HasPrefix(to, "/login?") {
					t.Errorf("%s is sent to %q", query, to)
				}
			}
			do("POST", "/oauth2/par", query)
		}
		do("POST", "/oauth2/authorize", "decision="+in+"&handle="+in, cookie, "Origin: "+c.S.URL)
		for _, form := range append(with(exchange, s), with(renew, s)...) {
			do("POST", "/oauth2/token", form)
		}
		for _, form := range with(tokens, s) {
			do("POST", "/oauth2/revoke", form)
			do("POST", "/oauth2/introspect", form)
		}
		for path, field := range map[string]string{"/jwt/token/refresh": "refresh", "/jwt/token/blacklist": "refresh", "/jwt/token/verify": "token"} {
			do("POST", path, jsonBody(field, s))
			do("POST", path, field+"="+in)
		}
		for _, path := range []string{"/token/logout", "/knox/logout", "/knox/logoutall", "/session/logout", "/logout-everywhere", "/measure", "/oauth2/userinfo"} {
			do("POST", path, "x="+in)
		}
		for _, header := range []string{
			"Authorization: " + s, "Authorization: Token " + s, "Authorization: Knox " + s, "Authorization: Bearer " + s, "Authorization: Basic " + s, "Cookie: session=" + s, "Cookie: " + s, "DPoP: " + s,
			"Authorization: Bearer a." + base64.RawURLEncoding.EncodeToString([]byte(s)) + ".c",
		} {
			for _, path := range []string{"/api/profile", "/trace", "/oauth2/userinfo"} {
				do("GET", path, "", header)
			}
		}
		for _, header := range []string{"Origin: " + s, "Sec-Fetch-Site: " + s, "Referer: " + s, "X-CSRFToken: " + s, "Accept: " + s, "X-Forwarded-For: " + s, "Content-Type: " + s} {
			do("POST", "/api/notes", "", cookie, header)
		}
		// Each of these costs a password hash, so the endpoints take turns.
		path, body := logins[i%len(logins)], jsonBody("username", s, "password", s, "name", s)
		if i%2 == 1 {
			body = url.Values{"username": {s}, "password": {s}, "name": {s}, "next": {s}}.Encode()
		}
		do("POST", path, body)
		if i%20 == 0 {
			do("GET", "/api/open", "", basicAuth(s, s))
			do("POST", "/knox/login", jsonBody("username", "alice", "password", "wonderland-42", "name", s))
			do("POST", "/oauth2/introspect", "token="+in, basicAuth("demo-confidential", "demo-secret"))
			do("POST", "/oauth2/token", "grant_type=client_credentials", basicAuth("demo-confidential", s))
		}
	}
	// The server still knows who is who.
	c.Is(200, "*", "GET", "/api/profile", "", token)
	c.Is(200, "*", "GET", "/api/profile", "", cookie)
}
