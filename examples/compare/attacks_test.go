package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// No secret is in an address but a code at the client's own, none in the log, and no page tells
// another origin its address.
func TestSecretsInAddresses(t *testing.T) {
	log := logged(t)
	t.Run("walk", func(t *testing.T) { // its parallel subtests end before the log is read
		visitors(t, func(t *testing.T, v visitor) {
			t.Run("attack_244", func(t *testing.T) { addresses(t, v.in(t), log) })
		})
	})
}

func addresses(t *testing.T, v visitor, log *sink) {
	var secrets []string
	mine := v.login()
	secrets = append(secrets, strings.TrimPrefix(mine, "Cookie: session="))
	pages := map[string]*http.Response{}
	at := func(method, path, body string, headers ...string) (*http.Response, string) {
		resp, text := v.Do(method, path, body, append(headers, acceptHTML)...)
		pages[method+" "+path] = resp
		for _, secret := range secrets {
			if strings.Contains(resp.Header.Get("Location"), secret) {
				t.Errorf("%s %.40s: sent to %s", method, path, resp.Header.Get("Location"))
			}
		}
		return resp, text
	}
	authorize := "/oauth2/authorize?" + request().Encode()
	_, text := at("GET", authorize, "", mine)
	handle := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(text)
	if handle == nil {
		t.Fatal(text)
	}
	secrets = append(secrets, handle[1])
	own := []string{mine, "Origin: " + v.S.URL, "Sec-Fetch-Site: same-origin"}
	resp, _ := at("POST", authorize, "decision=allow&handle="+handle[1], own...)
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" || resp.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("%v", resp.Header)
	}
	code := to.Query().Get("code")
	_, text = v.Do("POST", "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"demo-public"}, "redirect_uri": {pagesCallback}, "code_verifier": {pagesVerifier}, "code": {code}}.Encode())
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Access == "" || got.Refresh == "" || got.ID == "" {
		t.Fatal(text)
	}
	secrets = append(secrets, code, got.Access, got.Refresh, got.ID, "wonderland-42")
	// A token in the address is none (RFC 6750 section 2.3), and neither is a code a second time.
	for _, name := range []string{"access_token", "token", "bearer_token", "authorization"} {
		v.Is(401, "*", "GET", "/api/profile?"+name+"="+got.Access, "")
	}
	v.Is(400, "*", "POST", "/oauth2/token?code="+code, "grant_type=authorization_code&client_id=demo-public")
	v.Is(400, "*", "POST", "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"demo-public"}, "redirect_uri": {pagesCallback}, "code_verifier": {pagesVerifier}, "code": {code}}.Encode())
	for _, token := range []string{got.Access, got.Refresh, code, got.ID} { // refused ones are logged with their reason
		v.Is(401, "*", "GET", "/api/profile", "", "Authorization: Bearer "+token+"x")
		v.Is(401, "*", "GET", "/api/profile", "", "Authorization: Token "+token)
	}
	at("GET", "/login", "")
	at("POST", "/login", "username=alice&password=wrong")
	at("POST", "/login", "username=alice&password=wonderland-42&next=/x", "Origin: "+v.S.URL)
	at("GET", "/oauth2/authorize?client_id=x", "")
	at("GET", "/oauth2/device?user_code=WDJB-MJHT", "", mine)
	at("POST", "/oauth2/device", "user_code=WDJB-MJHT", own...)
	at("GET", "/oauth2/applications", "", mine)
	at("GET", "/oauth2/logout", "", mine)
	at("PUT", "/oauth2/logout", "", mine)
	at("GET", "/oauth2/logout", "")
	at("GET", "/callback?code="+code, "")
	at("GET", "/", "")
	resp, _ = at("POST", "/oauth2/logout", url.Values{"id_token_hint": {got.ID}}.Encode())
	at("GET", v.local(resp), "", mine)
	for page, resp := range pages {
		if resp.StatusCode >= 300 && resp.StatusCode < 400 {
			continue
		}
		if policy := resp.Header.Get("Referrer-Policy"); !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || policy != "no-referrer" && policy != "same-origin" {
			t.Errorf("%.60s: Referrer-Policy %q, %s", page, policy, resp.Header.Get("Content-Type"))
		}
	}
	text = log.String()
	for i, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("secret %d is in the log", i)
		}
	}
	if !strings.Contains(text, "refused") {
		t.Error("nothing was logged")
	}
}

// No cache keeps an answer with a credential, or gives one visitor's answer to another.
func TestCaches(t *testing.T) {
	visitors(t, func(t *testing.T, v visitor) {
		kept := func(t *testing.T, resp *http.Response) {
			t.Helper()
			if h := resp.Header; h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" || h.Get("Last-Modified") != "" || h.Get("Expires") != "" {
				t.Errorf("%s %s: %d %v", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode, h)
			}
		}
		t.Run("attack_250_credentials", func(t *testing.T) {
			v := v.in(t)
			for _, path := range []string{"/token/login", "/knox/login", "/jwt/token", "/session/login", "/login"} {
				for _, body := range []string{"username=alice&password=wonderland-42", "username=alice&password=x", "x=y"} {
					resp, _ := v.Do("POST", path, body)
					if resp.StatusCode != 303 {
						kept(t, resp)
					}
				}
			}
			for _, x := range [][2]string{{"/oauth2/token", "grant_type=client_credentials"}, {"/oauth2/par", "response_type=code&" + request("client_id", "demo-confidential", "redirect_uri", "http://127.0.0.1/callback").Encode()},
				{"/oauth2/introspect", "token=x"}, {"/oauth2/revoke", "token=x"}, {"/oauth2/device_authorization", ""}} {
				for _, headers := range [][]string{{basicAuth("demo-confidential", "demo-secret")}, {basicAuth("demo-confidential", "x")}, nil} {
					resp, _ := v.Do("POST", x[0], x[1], headers...)
					kept(t, resp)
				}
			}
			resp, _ := v.Do("POST", "/oauth2/device_authorization", "client_id=demo-public")
			kept(t, resp)
		})
		t.Run("attack_250_vary", func(t *testing.T) {
			v := v.in(t)
			mine, token := v.login(), v.Token("/token/login", "alice", "wonderland-42")
			for _, headers := range [][]string{nil, {mine}, {token}, {"Authorization: Token junk"}, {"Cookie: session=junk"}, {basicAuth("alice", "wonderland-42")}, {basicAuth("alice", "x")}} {
				for _, path := range []string{"/api/open", "/api/profile", "/api/admin", "/api/notes"} {
					resp, _ := v.Do("GET", path, "", headers...)
					var names []string
					for _, line := range resp.Header["Vary"] {
						for name := range strings.SplitSeq(line, ",") {
							names = append(names, strings.TrimSpace(name))
						}
					}
					if !slices.Contains(names, "Authorization") || !slices.Contains(names, "Cookie") {
						t.Errorf("%s %q: %d, Vary %q", path, headers, resp.StatusCode, names)
					}
					if resp.StatusCode >= 400 || len(headers) > 0 && headers[0] == mine {
						kept(t, resp)
					}
				}
			}
		})
	})
}

// Nothing for debugging is mounted, whatever some package put on http.DefaultServeMux.
func TestNoDebugging(t *testing.T) {
	visitors(t, func(t *testing.T, v visitor) {
		t.Run("attack_251", func(t *testing.T) {
			v := v.in(t)
			admin := v.Token("/token/login", "admin", "looking-glass-42")
			for _, path := range []string{"/debug", "/debug/", "/debug/pprof", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars", "/debug/requests", "/debug/events", "/metrics", "/debug/pprof/../pprof/"} {
				for _, headers := range [][]string{nil, {admin}} {
					if resp, text := v.Do("GET", path, "", headers...); resp.StatusCode != 404 && resp.StatusCode != 307 && resp.StatusCode != 301 || strings.Contains(text, "goroutine") || strings.Contains(text, "memstats") {
						t.Errorf("%s: %d %.80s", path, resp.StatusCode, text)
					}
				}
			}
			rec := httptest.NewRecorder()
			http.DefaultServeMux.ServeHTTP(rec, httptest.NewRequest("GET", "/debug/pprof/", nil))
			if rec.Code != 404 {
				t.Errorf("something in this program imports net/http/pprof: %d", rec.Code)
			}
		})
	})
}
