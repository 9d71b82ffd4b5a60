package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/servertest"
)

// A block of "sh test DIR" is run against the program in DIR: commands begin with "$ ", and the
// lines up to the next command are the output that is expected. "…" stands for any text in a
// line, and alone in a line for any lines. All commands run in one shell, in the order of the page.

// address is where the programs of the examples listen. A test serves them elsewhere.
const address = "127.0.0.1:8080"

func TestShellBlocks(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs programs")
	}
	pages := all(t)
	seen := 0
	for _, page := range sorted(pages) {
		byDir := map[string][]block{}
		for _, b := range blocks(pages[page]) {
			if dir, ok := strings.CutPrefix(b.info, "sh test "); ok {
				byDir[dir] = append(byDir[dir], b)
				seen++
			} else if strings.HasPrefix(b.info, "sh ") {
				t.Errorf("%s:%d: want ```sh, or ```sh test and a folder", page, b.line)
			}
		}
		for dir, list := range byDir {
			t.Run(page+" "+dir, func(t *testing.T) {
				listening := serve(t, filepath.Join(root, filepath.FromSlash(dir)))
				for _, err := range converse(t, page, list, listening) {
					t.Error(err)
				}
			})
		}
	}
	if seen == 0 {
		t.Error("no page has a block of sh test")
	}
}

func TestShellBlocksAreCompared(t *testing.T) {
	for _, c := range []struct {
		code string
		ok   bool
	}{
		{"$ echo a b\na b\n", true}, {"$ echo a b\na …\n", true}, {"$ echo a\n$ echo b\nb\n", false}, {"$ echo a\n", false}, {"$ echo a\nb\n", false}, {"$ true\n", true}, {"$ true\na\n", false},
		{"$ X=1\n$ echo $X \\\n  2\n1 2\n", true}, {"$ printf 'a\\nb\\nc\\n'\na\n…\nc\n", true}, {"$ printf 'a\\nb\\nc\\n'\na\n…\nb\n", false}, {"$ echo 'a.b'\na.b\n", true}, {"$ echo axb\na.b\n", false},
		{"$ false\n", false}, {"$ echo err >&2\nerr\n", true}, {"no command\n", false},
	} {
		if errs := converse(t, "page.md", []block{{code: c.code, line: 3}}, address); (len(errs) == 0) != c.ok {
			t.Errorf("%q: %v", c.code, errs)
		}
	}
}

// command is one command of a block with the output that it should have.
type command struct {
	text, want string
	line       int
}

func commands(b block) (list []command) {
	lines := strings.SplitAfter(strings.TrimSuffix(b.code, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		text, ok := strings.CutPrefix(lines[i], "$ ")
		if !ok {
			if len(list) == 0 {
				return nil
			}
			list[len(list)-1].want += lines[i]
			continue
		}
		c := command{text: text, line: b.line + i}
		for strings.HasSuffix(c.text, "\\\n") && i+1 < len(lines) {
			i++
			c.text += lines[i]
		}
		list = append(list, c)
	}
	return list
}

// converse runs the commands of blocks in one shell, with the address that the program listens at.
func converse(t *testing.T, page string, list []block, listening string) (errs []error) {
	t.Helper()
	const mark = "\x1e"
	var all []command
	script := "exec 2>&1\n"
	for _, b := range list {
		cs := commands(b)
		if len(cs) == 0 {
			return []error{fmt.Errorf("%s:%d: the block does not begin with a command: $ …", page, b.line)}
		}
		for _, c := range cs {
			script += strings.ReplaceAll(strings.TrimSuffix(c.text, "\n"), address, listening) + "\nprintf '\\x1e%d\\x1e' $?\n"
		}
		all = append(all, cs...)
	}
	cmd := exec.CommandContext(t.Context(), servertest.Program(t, "bash"), "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "http_proxy=", "https_proxy=", "no_proxy=*", "HOME="+cmd.Dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return []error{fmt.Errorf("%s: %w: %s", page, err, out)}
	}
	answers := strings.Split(strings.ReplaceAll(string(out), listening, address), mark)
	for i, c := range all {
		if 2*i+1 >= len(answers) {
			return append(errs, fmt.Errorf("%s:%d: not run", page, c.line))
		}
		got, code := strings.ReplaceAll(answers[2*i], "\r\n", "\n"), answers[2*i+1]
		if !pattern(c.want).MatchString(strings.TrimRight(got, "\n")) || code != "0" {
			errs = append(errs, fmt.Errorf("%s:%d: %sended with %s and the output\n%s\nwant\n%s", page, c.line, c.text, code, got, c.want))
		}
	}
	return errs
}

// pattern is the expected output of a command.
func pattern(want string) *regexp.Regexp {
	var b strings.Builder
	for line := range strings.Lines(want) {
		if line = strings.TrimSuffix(line, "\n"); line == "…" {
			b.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`) + "\n")
	}
	return regexp.MustCompile(`^` + strings.TrimSuffix(b.String(), "\n") + `$`)
}

// serve builds the program in dir with another address to listen at, runs it in an empty folder,
// and returns the address once it accepts connections.
func serve(t *testing.T, dir string) string {
	t.Helper()
	servertest.Program(t, "curl")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listening, work := l.Addr().String(), t.TempDir()
	l.Close()
	overlay := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, "_test.go") && bytes.Contains(text, []byte(address)) {
			full, _ := filepath.Abs(f)
			overlay[full] = filepath.Join(work, filepath.Base(f))
			if err := os.WriteFile(overlay[full], bytes.ReplaceAll(text, []byte(address), []byte(listening)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err != nil || len(overlay) == 0 {
		t.Fatalf("no file of %s listens at %s (%v)", dir, address, err)
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "overlay.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(work, "program")
	build := exec.Command("go", "build", "-overlay", filepath.Join(work, "overlay.json"), "-o", program, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var log bytes.Buffer
	cmd := exec.Command(program)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for range 6000 { // five minutes: a busy machine is slow
		c, err := net.Dial("tcp", listening)
		if err == nil {
			c.Close()
			return listening
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the program ended: %v\n%s", err, &log)
		case <-time.After(50 * time.Millisecond): // a real server starts
		}
	}
	t.Fatal("the program does not listen")
	return ""
}
