//go:build interop

package main

import (
	"encoding/json"
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

// script returns a client of npm.
func script(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := filepath.Abs("../../internal/interop/" + name)
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
	is(t, sees(t, script(t, "mcp.mjs", start(t, server.Fetching{}))), typescript(`"string"`))
}

func TestTypeScriptClientWithDocument(t *testing.T) {
	t.Parallel()
	id, fetching, _ := documented(t, "http://127.0.0.1:47825/callback")
	is(t, sees(t, script(t, "mcp.mjs", start(t, fetching), id)), typescript(`true`))
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
	issuer := start(t, server.Fetching{})
	port := freePort(t)
	client := register(t, issuer, map[string]any{"redirect_uris": []string{"http://127.0.0.1:" + port + "/callback"}}).text("client_id")
	is(t, sees(t, script(t, "conformance.mjs", issuer, client, port, issuer+"/mcp")), map[string]string{
		"exit": `0`, "authorization-server-metadata": `"SUCCESS"`, "authorization-server-metadata-cimd": `"SUCCESS"`, "authorization-code-grant": `"SUCCESS"`,
	})
}

// freePort returns a port where nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
