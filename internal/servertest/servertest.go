// Package servertest finds the programs that tests start beside the library, such as nginx or PgBouncer.
package servertest

import (
	"os"
	"os/exec"
	"testing"
)

// Program returns the path of the program name, which Debian's package of the same name installs.
// If it is missing the test fails where CI is set; elsewhere the test is skipped with a line that
// says how to get it. scripts/with-services installs these programs on a machine with apt-get.
func Program(t testing.TB, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is needed: apt-get install %s", name, name)
	}
	t.Skipf("not run: %s is needed: apt-get install %s", name, name)
	return ""
}
