//go:build unix

package gormstore_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// child names the courier and the database in the environment of the process that is stopped.
const child = "VESTIBULE_TEST_STOPPED"

// A process is stopped while it has a credential in its cache, and goes on after the credential was
// revoked. It has noticed nothing, and refuses it.
func TestStoppedProcess(t *testing.T) {
	if courier, url, ok := strings.Cut(os.Getenv(child), " "); ok {
		r := follow(t, courier, url, "", &patient)
		h := holding{id: "id"}
		until(t, "kept", func() bool { ok, _ := accepts["static"](t.Context(), r, h); return ok && r.leased() })
		fmt.Println("state: kept")
		lines := bufio.NewReader(os.Stdin)
		for {
			if _, err := lines.ReadString('\n'); err != nil {
				return
			}
			ok, err := accepts["static"](t.Context(), r, h)
			fmt.Println("state:", ok, err)
		}
	}
	eachCourier(t, func(t *testing.T, courier, url string) {
		t.Run("attack_423_stopped", func(t *testing.T) {
			db := migrated(t, opened(t)(postgres.Open(url, &patient)))
			h := hold(t, db, "id")
			cmd := exec.Command(os.Args[0], "-test.run=^TestStoppedProcess$")
			cmd.Env = append(os.Environ(), child+"="+courier+" "+url)
			in, err := cmd.StdinPipe()
			must(t, err)
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			answers := bufio.NewReader(out)
			answer := func() string {
				t.Helper()
				for {
					line, err := answers.ReadString('\n')
					must(t, err)
					if state, ok := strings.CutPrefix(strings.TrimSpace(line), "state: "); ok {
						return state
					}
				}
			}
			if got := answer(); got != "kept" {
				t.Fatal(got)
			}
			ask := func() {
				t.Helper()
				_, err := io.WriteString(in, "?\n")
				must(t, err)
			}
			ask()
			if got := answer(); got != "true <nil>" {
				t.Fatal("before:", got)
			}
			must(t, cmd.Process.Signal(syscall.SIGSTOP))
			_, err = db.BumpEpoch(t.Context(), h.id)
			must(t, err)
			acknowledged := time.Now()
			until(t, "the bound has passed", func() bool { return time.Since(acknowledged) > bus.Bound })
			ask()
			must(t, cmd.Process.Signal(syscall.SIGCONT))
			if got := answer(); got != "false <nil>" {
				t.Error("after it went on:", got)
			}
		})
	})
}
