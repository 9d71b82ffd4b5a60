package keys_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vestibule-auth/vestibule/keys"
)

// Create loads a key from a read-only directory, such as a mounted secret, and creates nothing
// there.
func TestCreateReadOnly(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"good": strings.Repeat("0f", 31) + "01\n", "malformed": "hunter2", "empty": ""}
	for name, text := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o444))
	}
	must(t, os.Symlink(filepath.Join(dir, "good"), filepath.Join(dir, "link"))) // as Kubernetes mounts secrets
	must(t, os.Chmod(filepath.Dir(dir), 0o755))                                 // for the other user
	must(t, os.Chmod(dir, 0o555))
	t.Cleanup(func() { must(t, os.Chmod(dir, 0o755)) })
	for name, good := range map[string]bool{"good": true, "link": true, "malformed": false, "empty": false, "absent": false} {
		t.Run("edge_C07/"+name, func(t *testing.T) {
			asUser(t, func() {
				if _, err := os.Create(filepath.Join(dir, "x")); err == nil {
					t.Error("the folder can be written to")
				}
				ring, made, err := keys.Create(filepath.Join(dir, name))
				if made || (err == nil) != good || (ring != nil) != good {
					t.Errorf("made %t, %v", made, err)
				}
				if err != nil && strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error shows the file: %v", err)
				}
			})
		})
	}
}

// asUser runs f on a thread without privileges for files if the test runs as root, whom file modes
// do not restrict.
func asUser(t *testing.T, f func()) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never Unlock: the thread ends with the goroutine
		var err error
		if os.Geteuid() == 0 {
			err = syscall.Setfsuid(65534)
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	must(t, <-done)
}
