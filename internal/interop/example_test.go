//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// examples/oauth2-client is a module of its own, of golang.org/x/oauth2 and go-oidc: its tests
// log in at examples/compare.
func TestClientExample(t *testing.T) {
	t.Parallel()
	testModule(t, "../../examples/oauth2-client", 10)
}

// examples/mcp is a module of its own. With the tag interop, the clients of the TypeScript SDK and of
// mcp-go, and the conformance tests of the protocol, log in at its server.
func TestMCPExample(t *testing.T) {
	t.Parallel()
	testModule(t, "../../examples/mcp", 4, "-tags", "interop", "-run", "TypeScript|MCPGo|Conformance")
}

// testModule runs the tests of a module. They are subtests here.
func testModule(t *testing.T, dir string, least int, flags ...string) {
	t.Helper()
	cmd := exec.Command("go", append(append([]string{"test", "-vet=off", "-count=1", "-json"}, flags...), "./...")...)
	cmd.Dir = dir
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	passed := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch {
		case e.Action == "output":
			problems.WriteString(e.Output)
		case e.Test != "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
			t.Run(strings.ReplaceAll(e.Test, "/", "_"), func(t *testing.T) { // attacks counts them here
				if e.Action != "pass" {
					t.Error(e.Action)
				}
			})
			passed++
		}
	}
	if err != nil || passed < least {
		t.Fatalf("%v, %d tests\n%s", err, passed, &problems)
	}
}
