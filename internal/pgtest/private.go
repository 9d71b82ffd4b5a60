package pgtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Server is a PostgreSQL server of one test, which may stop, kill and pause it.
type Server struct {
	t    testing.TB
	bin  string
	dir  string
	port int
}

// Private starts a server of the test's own. It skips or fails as URL does where
// there are no binaries.
func Private(t testing.TB) *Server {
	t.Helper()
	bin := binaries()
	if bin == "" {
		const hint = "PostgreSQL: no initdb in $VESTIBULE_PG_BIN, /usr/lib/postgresql/*/bin or PATH; install the package postgresql"
		if os.Getenv("CI") != "" {
			t.Fatal(hint)
		}
		t.Skip(hint)
	}
	dir, err := os.MkdirTemp("", "pgtest-") // not t.TempDir: user postgres must get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, bin: bin, dir: dir, port: freePort(t)}
	s.run("initdb", "-D", s.data(), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
	s.Start()
	t.Cleanup(func() {
		s.signal(syscall.SIGCONT)
		s.command("pg_ctl", "-D", s.data(), "-m", "immediate", "stop").Run()
	})
	return s
}

// URL returns the URL of the server's database.
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// Start starts the server and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	options := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s", s.port, s.dir)
	s.run("pg_ctl", "-D", s.data(), "-l", filepath.Join(s.dir, "log"), "-w", "-o", options, "start")
}

// Kill ends the server as a crash does, with all its connections.
func (s *Server) Kill() {
	s.t.Helper()
	s.run("pg_ctl", "-D", s.data(), "-m", "immediate", "-w", "stop")
}

// Pause stops every process of the server where it is; Resume lets them go on.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	pid := s.pid()
	if pid == 0 {
		return
	}
	children, _ := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	for _, p := range append([]string{strconv.Itoa(pid)}, strings.Fields(string(children))...) {
		if n, err := strconv.Atoi(p); err == nil {
			_ = syscall.Kill(n, sig)
		}
	}
}

func (s *Server) pid() int {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	n, _ := strconv.Atoi(line)
	return n
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) run(name string, args ...string) {
	s.t.Helper()
	if out, err := s.command(name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// command runs a program of PostgreSQL, which refuses root.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	path := filepath.Join(s.bin, name)
	cmd := exec.Command(path, args...)
	if os.Geteuid() == 0 {
		cmd = exec.Command("runuser", append([]string{"-u", "postgres", "--", path}, args...)...)
	}
	cmd.Dir = s.dir
	if name == "pg_ctl" { // the server must not hold the test's pipe
		if null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
			cmd.Stdin = null
		}
	}
	return cmd
}

func binaries() string {
	places := []string{os.Getenv("VESTIBULE_PG_BIN")}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for i := len(found) - 1; i >= 0; i-- {
		places = append(places, found[i])
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		places = append(places, filepath.Dir(path))
	}
	for _, dir := range places {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir
		}
	}
	return ""
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
