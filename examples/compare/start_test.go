package main

import (
	"bufio"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/keys"
)

// Six servers are started at the same time on an empty database: whoever loses the race to create
// the tables, the keys, the demo users and the demo clients goes on.
func TestStartTogether(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]func(t *testing.T) []string{
		"sqlite": func(t *testing.T) []string { return []string{"-db", "sqlite:" + filepath.Join(t.TempDir(), "db")} },
		"postgres": func(t *testing.T) []string {
			key := filepath.Join(t.TempDir(), "key")
			if _, _, err := keys.Create(key); err != nil {
				t.Fatal(err)
			}
			return []string{"-db", pgtest.URL(t), "-key", key}
		},
	} {
		t.Run("edge_C10/"+name, func(t *testing.T) {
			args := append(args(t), "-addr", "127.0.0.1:0", "-login-rate", "off")
			servers := make([]string, 6)
			var wg sync.WaitGroup
			for i := range servers {
				wg.Go(func() { servers[i] = startProgram(t, program, args) })
			}
			wg.Wait()
			for _, url := range servers {
				if url == "" {
					continue // reported
				}
				c := demotest.Client{T: t, S: &httptest.Server{URL: url}}
				for _, u := range []string{`alice","password":"wonderland-42"}`, `bob","password":"bob-the-builder-42"}`, `admin","password":"looking-glass-42"}`} {
					c.JSON("/jwt/token", `{"username":"`+u)
				}
			}
			// What one made all accept.
			if first, last := servers[0], servers[5]; first != "" && last != "" {
				access := demotest.Client{T: t, S: &httptest.Server{URL: first}}.JSON("/jwt/token", `{"username":"alice","password":"wonderland-42"}`)["access"]
				demotest.Client{T: t, S: &httptest.Server{URL: last}}.Is(200, "*", "GET", "/api/jwt/profile", "", "Authorization: Bearer "+access)
			}
		})
	}
}

// serve, if the environment has it, makes the test binary the program: to build that takes longer
// than the test.
const serve = "COMPARE_SERVE"

// startProgram runs the program until the test ends, and returns its URL; "" if it exits before.
func startProgram(t *testing.T, program string, args []string) string {
	cmd := exec.Command(program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "VESTIBULE_KEY=", serve+"=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return ""
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	t.Cleanup(func() {
		if err == nil {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	})
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		_ = cmd.Wait()
		t.Errorf("a server exited: %q\n%s", line, stderr.String())
		return ""
	}
	return url
}
