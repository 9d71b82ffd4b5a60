//go:build interop

package interop

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// compare runs examples/compare and returns its address.
func compare(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "compare")
	if out, err := exec.Command("go", "build", "-o", binary, "../../examples/compare").CombinedOutput(); err != nil {
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

// walk runs a script of node and returns what it saw.
func walk(t *testing.T, script string, args ...string) map[string]json.RawMessage {
	t.Helper()
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", append([]string{path}, args...)...)
	cmd.Dir = os.Getenv("VESTIBULE_INTEROP")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &problems)
	}
	var seen map[string]json.RawMessage
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

// is fails for each step that was not as wanted.
func is(t *testing.T, seen map[string]json.RawMessage, want map[string]string) {
	t.Helper()
	for step, want := range want {
		t.Run(step, func(t *testing.T) {
			if got := string(seen[step]); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// An OAuth client that nobody here wrote gets tokens in each way, uses and gives them back.
func TestOAuthClient(t *testing.T) {
	is(t, walk(t, "oauth.mjs", compare(t)), map[string]string{
		"issuer":             `true`,
		"code":               `["bearer","profile notes:read",3600]`,
		"profile":            `[200,"{\"username\":\"alice\",\"email\":\"alice@example.com\",\"scheme\":\"oauth2\",\"client\":\"demo-public\"}\n"]`,
		"refresh":            `[true,true]`,
		"revoked":            `[401,"{\"detail\":\"Invalid token.\"}"]`,
		"revoked_refresh":    `"invalid_grant"`,
		"pushed":             `"profile notes:read"`,
		"introspection":      `[true,"demo-confidential","alice","profile notes:read"]`,
		"client_credentials": `[true,[200,"{\"username\":\"\",\"email\":\"\",\"scheme\":\"oauth2\",\"client\":\"demo-confidential\"}\n"]]`,
		"wrong_secret":       `"invalid_client"`, // Node sends Sec-Fetch-Mode, and so gets no Basic challenge
		"denied":             `"access_denied"`,
	})
}

// A real browser is sent to the login, asked, and sent back to the application, which uses
// the token and gives it back.
func TestConsentInBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is needed: apt-get install chromium")
	}
	seen := walk(t, "consent.mjs", chromium, compare(t))
	if got := string(seen["consent_page"]); !strings.Contains(got, "Allow Public demo?") || !strings.Contains(got, "See your name") || !strings.Contains(got, "alice") {
		t.Errorf("the consent page says %s", got)
	}
	is(t, seen, map[string]string{
		"login_page": `"/login"`, "application_page": `"back in the application"`, "callback": `["a state",true]`,
		"api": `[200,"alice"]`, "revoke": `200`, "revoked": `[401,null]`,
	})
}
