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

// An OAuth client that nobody here wrote gets tokens in each way, uses and gives them back.
func TestOAuthClient(t *testing.T) {
	base := compare(t)
	client, err := filepath.Abs("oauth.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", client, base)
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
	for step, want := range map[string]string{
		"issuer":             `true`,
		"code":               `["bearer","profile notes:read",3600]`,
		"profile":            `[200,"{\"username\":\"alice\",\"email\":\"alice@example.com\",\"scheme\":\"oauth2\",\"client\":\"demo-public\"}\n"]`,
		"refresh":            `[true,true]`,
		"revoked":            `[401,"{\"detail\":\"Invalid token.\"}"]`,
		"revoked_refresh":    `"invalid_grant"`,
		"pushed":             `"profile notes:read"`,
		"introspection":      `[true,"demo-confidential","alice","profile notes:read"]`,
		"client_credentials": `[true,[200,"{\"username\":\"\",\"email\":\"\",\"scheme\":\"oauth2\",\"client\":\"demo-confidential\"}\n"]]`,
		"wrong_secret":       `"basic"`,
		"denied":             `"access_denied"`,
	} {
		t.Run(step, func(t *testing.T) {
			if got := string(seen[step]); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
