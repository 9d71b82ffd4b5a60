//go:build interop

package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The programs are built once, into the folder that scripts/interop removes.
var (
	buildCompare = sync.OnceValues(func() (string, error) { return build("compare", "../..", "./examples/compare") })
	buildZitadel = sync.OnceValues(func() (string, error) { return build("zitadel", "clients", "./zitadel") })
)

// build builds a program of the module in folder dir.
func build(name, dir, pkg string) (string, error) {
	binary := filepath.Join(os.Getenv("VESTIBULE_INTEROP"), name)
	if out, err := exec.Command("go", "build", "-C", dir, "-o", binary, pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return binary, nil
}

// compare runs examples/compare and returns its address.
func compare(t *testing.T, args ...string) string {
	t.Helper()
	binary, err := buildCompare()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append([]string{"-addr", "127.0.0.1:0", "-login-rate", "off"}, args...)...)
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
	return sees(t, cmd)
}

// sees runs a client and returns what it saw.
func sees(t *testing.T, cmd *exec.Cmd) map[string]json.RawMessage {
	t.Helper()
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
