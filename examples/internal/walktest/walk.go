// Package walktest runs an example as its doc comment says: it starts the program and runs the commands
// of the comment in a shell.
package walktest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram, in the environment, makes a test binary the program under test.
const asProgram = "VESTIBULE_RUN_EXAMPLE"

// Main is called by an example's TestMain. The test binary can then run as the example itself, so
// that no second binary is linked.
func Main(m *testing.M, main func()) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	m.Run()
}

// Server is a running example.
type Server struct {
	Addr string // host:port
	Dir  string // its working directory
}

// Start runs the example with -addr and args in an empty folder. At the end of the test it must stop
// on SIGTERM without an error.
func Start(t testing.TB, args ...string) Server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Run(t, self, t.TempDir(), args...)
}

// Run is Start for any program and working directory.
func Run(t testing.TB, bin, work string, args ...string) Server {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), bin, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	cmd.Dir, cmd.Env = work, append(os.Environ(), asProgram+"=1")
	problems := new(strings.Builder)
	cmd.Stderr = problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var addr string
	for addr == "" && lines.Scan() {
		_, addr, _ = strings.Cut(lines.Text(), "listening on http://")
	}
	ended := make(chan error, 1)
	go func() {
		for lines.Scan() { // a full pipe would stop the program
		}
		ended <- cmd.Wait()
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		select {
		case err := <-ended:
			if err != nil || t.Failed() {
				t.Errorf("the program ended: %v\n%s", err, problems)
			}
		case <-time.After(time.Minute):
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			t.Errorf("the program does not stop on SIGTERM: %v", <-ended)
		}
	})
	if addr == "" {
		t.Fatal("the program does not listen")
	}
	return Server{Addr: addr, Dir: work}
}

// Doc runs the example and then the commands of its doc comment.
func Doc(t *testing.T, args ...string) {
	t.Helper()
	Start(t, args...).Comment(t, "main.go")
}

// Comment runs the commands in the doc comment of a Go file: the indented lines after the first
// one with "go run". A line "# text" is the output that the command above it must print, in which
// "…" stands for any text. pairs are an address in the comment and the one in use, in addition to
// 127.0.0.1:8080, which is the server's.
func (s Server) Comment(t *testing.T, file string, pairs ...string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	started := false
	for line := range strings.Lines(parsed.Doc.Text()) {
		line, indented := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case !indented:
		case strings.HasPrefix(line, "go run "):
			started = true // by the test
		case started:
			commands = append(commands, line)
		}
	}
	if !started || len(commands) < 2 {
		t.Fatalf("%s: the doc comment has %d commands after go run", file, len(commands))
	}
	s.Shell(t, commands, pairs...)
}

// Shell runs commands and compares their output, as Comment describes.
func (s Server) Shell(t *testing.T, commands []string, pairs ...string) {
	t.Helper()
	real := strings.NewReplacer(append(pairs, "127.0.0.1:8080", s.Addr)...)
	const mark = "--- end of command"
	type step struct{ command, want string }
	var steps []step
	for _, line := range commands {
		if want, ok := strings.CutPrefix(line, "# "); ok && len(steps) > 0 {
			steps[len(steps)-1].want += want + "\n"
		} else {
			steps = append(steps, step{command: line})
		}
	}
	var script strings.Builder
	for _, step := range steps {
		fmt.Fprintf(&script, "%s\necho; echo '%s'\n", real.Replace(step.command), mark)
	}
	shell := exec.CommandContext(t.Context(), "bash", "-c", script.String())
	shell.Dir = s.Dir
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	outputs := strings.Split(string(out), mark+"\n")
	for i, step := range steps {
		got := strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(outputs[i], "\r", ""), s.Addr, "127.0.0.1:8080"))
		if pattern := pattern(step.want); !pattern.MatchString(got) {
			t.Errorf("%s\nprints\n%s\nand not\n%s", step.command, got, step.want)
		}
	}
}

// pattern is a regular expression for the expected output.
func pattern(want string) *regexp.Regexp {
	parts := strings.Split(strings.TrimSpace(want), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`\A(?s:` + strings.Join(parts, ".*") + `)\z`)
}
