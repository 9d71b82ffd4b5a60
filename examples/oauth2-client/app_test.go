package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// compare runs the server with every scheme and returns its address.
func compare(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "compare")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", binary, "./examples/compare").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, "-addr", "127.0.0.1:0", "-login-rate", "off")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	lines, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(lines).ReadString('\n')
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	return base
}

// client runs the application against an issuer.
func client(t *testing.T, issuer string) (*app, string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	a, err := newApp(t.Context(), config{Issuer: issuer, API: issuer + "/api/profile", ID: "demo-public", Redirect: base + "/callback", Scopes: []string{"profile"}})
	if err != nil {
		server.Listener.Close()
		t.Fatal(err)
	}
	server.Config.Handler = a.routes()
	server.Start()
	t.Cleanup(server.Close)
	return a, base
}

// browser keeps cookies and goes where it is sent.
type browser struct {
	*http.Client
	t *testing.T
}

func newBrowser(t *testing.T) browser {
	jar, _ := cookiejar.New(nil)
	return browser{&http.Client{Jar: jar}, t}
}

// goes returns the page that it ends at.
func (b browser) goes(method, address string, form url.Values) (status int, at *url.URL, text string) {
	b.t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, res.Request.URL, string(body)
}

var handle = regexp.MustCompile(`name="handle" value="([^"]+)"`)

// logs in alice and answers the consent page. It returns the page it ends at.
func (b browser) logsIn(base, issuer, decision string) string {
	b.t.Helper()
	_, at, text := b.goes("POST", base+"/login", nil)
	if strings.HasSuffix(at.Path, "/login") {
		_, at, text = b.goes("POST", issuer+"/login", url.Values{"username": {"alice"}, "password": {"wonderland-42"}, "next": {at.Query().Get("next")}})
	}
	found := handle.FindStringSubmatch(text)
	if found == nil {
		b.t.Fatalf("no consent page at %s: %s", at, text)
	}
	_, _, text = b.goes("POST", issuer+"/oauth2/authorize", url.Values{"handle": {found[1]}, "decision": {decision}})
	return text
}

// The whole life of a login at a running server.
func TestClient(t *testing.T) {
	issuer := compare(t)
	a, base := client(t, issuer)
	b := newBrowser(t)
	if text := b.logsIn(base, issuer, "deny"); !strings.Contains(text, "access_denied") {
		t.Errorf("denied: %s", text)
	}
	text := b.logsIn(base, issuer, "allow")
	if !strings.Contains(text, "says 200") || !strings.Contains(text, "alice@example.com") {
		t.Fatalf("logged in: %s", text)
	}
	if a.idents != nil && !strings.Contains(text, "Logged in as") {
		t.Error("no ID token")
	}
	var s *session
	for _, s = range a.sessions {
	}
	first := s.token
	if _, _, text := b.goes("POST", base+"/refresh", nil); !strings.Contains(text, "says 200") {
		t.Errorf("renewed: %s", text)
	}
	second := s.token
	if second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken {
		t.Error("nothing was renewed")
	}
	if _, _, text := b.goes("POST", base+"/logout", nil); !strings.Contains(text, "Log in at") || strings.Contains(text, "alert") {
		t.Errorf("logged out: %s", text)
	}
	if status, _, err := a.call(t.Context(), s, false); status != 401 || err != nil {
		t.Errorf("after the logout: %d, %v", status, err)
	}
	if _, _, err := a.call(t.Context(), s, true); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("renewed after the logout: %v", err)
	}
	if _, _, text := b.goes("GET", base+"/", nil); !strings.Contains(text, "Log in at") {
		t.Errorf("after the logout: %s", text)
	}
}

// stub is an authorization server that says it sends iss, and counts codes.
func stub(t *testing.T, change func(string) string) (issuer string, codes *atomic.Int64) {
	codes = new(atomic.Int64)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, change(`{"issuer":"`+server.URL+`","authorization_endpoint":"`+server.URL+`/authorize","token_endpoint":"`+server.URL+`/token","authorization_response_iss_parameter_supported":true}`))
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		codes.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"a","token_type":"Bearer","expires_in":60}`)
	})
	mux.HandleFunc("/authorize", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/api/profile", func(http.ResponseWriter, *http.Request) {})
	return server.URL, codes
}

// A code is shown to the server alone that was asked, and only for the browser that asked.
func TestCallback(t *testing.T) {
	issuer, codes := stub(t, func(s string) string { return s })
	_, base := client(t, issuer)
	for name, c := range map[string]struct {
		change func(url.Values)
		other  bool // another browser comes back
		taken  bool
	}{
		"as_it_should_be":               {change: func(url.Values) {}, taken: true},
		"attack_169_another_server":     {change: func(q url.Values) { q.Set("iss", "https://evil.example") }},
		"attack_169_no_server":          {change: func(q url.Values) { q.Del("iss") }},
		"attack_169_two_servers":        {change: func(q url.Values) { q.Add("iss", "https://evil.example") }},
		"attack_169_server_and_a_slash": {change: func(q url.Values) { q.Set("iss", issuer+"/") }},
		"another_state":                 {change: func(q url.Values) { q.Set("state", "x") }},
		"no_state":                      {change: func(q url.Values) { q.Del("state") }},
		"two_states":                    {change: func(q url.Values) { q.Add("state", "x") }},
		"another_browser":               {change: func(url.Values) {}, other: true},
		"another_browser_without_state": {change: func(q url.Values) { q.Set("state", "") }, other: true},
		"an_error_and_a_code":           {change: func(q url.Values) { q.Set("error", `<script>`) }},
	} {
		t.Run(name, func(t *testing.T) {
			b, before := newBrowser(t), codes.Load()
			_, at, _ := b.goes("POST", base+"/login", nil)
			q := url.Values{"code": {"c"}, "state": {at.Query().Get("state")}, "iss": {issuer}}
			c.change(q)
			if at.Query().Get("code_challenge_method") != "S256" || len(at.Query().Get("state")) < 20 {
				t.Errorf("the question: %s", at)
			}
			if c.other {
				b = newBrowser(t)
			}
			status, _, text := b.goes("GET", base+"/callback?"+q.Encode(), nil)
			if taken := codes.Load() == before+1; taken != c.taken || (status == 200) != c.taken || strings.Contains(text, "<script>") {
				t.Errorf("%d, the code was used: %v; %s", status, taken, text)
			}
			if status, _, _ := b.goes("GET", base+"/callback?"+q.Encode(), nil); status == 200 || codes.Load() > before+1 {
				t.Error("the answer came twice")
			}
		})
	}
	r, _ := http.NewRequest("POST", base+"/logout", nil)
	r.Header.Set("Origin", "https://evil.example")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != 403 {
		t.Errorf("from another page: %d", res.StatusCode)
	}
}

func TestMetadataOfAnother(t *testing.T) {
	for what, change := range map[string]func(string) string{
		"attack_169_issuer": func(s string) string { return strings.Replace(s, `"issuer":"`, `"issuer":"https://evil.example/`, 1) },
		"no_endpoint":       func(s string) string { return strings.Replace(s, "token_endpoint", "x", 1) },
		"no_JSON":           func(s string) string { return s[1:] },
	} {
		t.Run(what, func(t *testing.T) {
			issuer, _ := stub(t, change)
			if _, err := newApp(t.Context(), config{Issuer: issuer, ID: "x"}); err == nil {
				t.Error("taken")
			}
		})
	}
}
