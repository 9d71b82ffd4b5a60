// Package redistest gives tests real Redis servers: one server, Sentinel, or Cluster. Each test
// starts its own, on free ports, and may kill and pause them.
package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/vestibule-auth/vestibule/internal/servertest"
)

// patience is how long a server may take for anything that a test waits for.
const patience = 30 * time.Second

// Server is a redis-server of one test.
type Server struct {
	t       testing.TB
	program string
	dir     string
	port    string
	bus     string // port for other nodes of a Cluster
	args    []string
	process *os.Process
	ended   chan struct{}
}

// Quiet turns off the log of go-redis, which writes a line for each failure to connect. Call it in
// TestMain.
func Quiet() { logging.Disable() }

// Start starts a server that stores nothing on disk. args are further lines of its configuration,
// such as "maxmemory 3mb". The server ends with the test.
//
// The test is skipped, or fails where CI is set, if the program redis-server is missing.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, program: servertest.Program(t, "redis-server"), dir: t.TempDir(), port: freePort(t)}
	s.args = append([]string{"save \"\"", "appendonly no", "enable-debug-command local"}, args...)
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Restart starts the server again, with its configuration as it is on disk.
func (s *Server) Restart() {
	s.t.Helper()
	s.launch()
	client := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, DialerRetries: 1})
	defer client.Close()
	s.wait("answers", func(ctx context.Context) bool {
		conn, err := net.Dial("tcp", s.Addr()) // go-redis logs each failure to connect
		if err != nil {
			return false
		}
		conn.Close()
		return client.Ping(ctx).Err() == nil
	})
}

// launch starts the process. Sentinel rewrites its configuration, so a file that exists is kept.
func (s *Server) launch() {
	s.t.Helper()
	file := filepath.Join(s.dir, "redis.conf")
	if _, err := os.Stat(file); err != nil {
		lines := append([]string{"port " + s.port, "bind 127.0.0.1", "protected-mode no", "dir " + s.dir}, s.args...)
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(s.program, file)
	for _, a := range s.args {
		if strings.HasPrefix(a, "sentinel ") {
			cmd.Args = append(cmd.Args, "--sentinel")
			break
		}
	}
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, s.ended, err = run(cmd); err != nil {
		s.t.Fatal(err)
	}
	log.Close()
}

// Addr returns the server's host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", s.port) }

// URL returns the server's URL.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Client returns a client with the options that package redisstore requires. It is closed when the
// test ends. It does not try again to connect, so that a test does not wait for that.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true, DialerRetries: 1})
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Kill ends the server as a crash does. A server that has ended stays so.
func (s *Server) Kill() {
	_ = s.process.Kill()
	<-s.ended
}

// Pause stops the server where it is; Resume lets it go on.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// wait polls until done, and ends the test with the server's log if that takes too long.
func (s *Server) wait(what string, done func(context.Context) bool) {
	s.t.Helper()
	if Poll(s.t, done) {
		return
	}
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	s.t.Fatalf("redis at %s never %s:\n%s", s.Addr(), what, text)
}

// Poll calls done every few milliseconds until it returns true. It returns false if that takes more
// than half a minute.
func Poll(t testing.TB, done func(context.Context) bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if done(ctx) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
