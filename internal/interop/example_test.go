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
	cmd := exec.Command("go", "test", "-count=1", "-json", "./...")
	cmd.Dir = "../../examples/oauth2-client"
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
	if err != nil || passed < 10 {
		t.Fatalf("%v, %d tests\n%s", err, passed, &problems)
	}
}
