package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The code of the guide is that of this module.
func TestGuide(t *testing.T) {
	code := read(t, "apikey/apikey.go") + read(t, "apikey/apikey_test.go") + read(t, "server.go")
	blocks := strings.Split(read(t, "../../docs/new-scheme.md"), "```go\n")[1:]
	if len(blocks) < 7 {
		t.Fatalf("%d blocks of code", len(blocks))
	}
	for _, b := range blocks {
		if block, _, _ := strings.Cut(b, "```"); !strings.Contains(code, block) {
			t.Errorf("not in the code:\n%s", block)
		}
	}
}

// Who copies the blocks of the guide into one file has the whole scheme.
func TestGuideIsWhole(t *testing.T) {
	left := read(t, "apikey/apikey.go")
	for _, b := range strings.Split(read(t, "../../docs/new-scheme.md"), "```go\n")[1:] {
		block, _, _ := strings.Cut(b, "```")
		left = strings.Replace(left, block, "", 1)
	}
	for line := range strings.Lines(left) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			t.Errorf("not in the guide: %s", line)
		}
	}
}

// The scheme is what a newcomer can copy: short, and made of public packages alone.
func TestSmallAndPublic(t *testing.T) {
	if n := strings.Count(read(t, "apikey/apikey.go"), "\n"); n >= 100 {
		t.Errorf("apikey.go has %d lines", n)
	}
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}{{"\n"}}{{join .TestImports "\n"}}{{"\n"}}{{join .XTestImports "\n"}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, path := range strings.Fields(string(out)) {
		if strings.HasPrefix(path, "github.com/vestibule-auth/vestibule/") {
			seen++
		}
		if strings.Contains(path, "/internal/") {
			t.Errorf("imports %s", path)
		}
	}
	if seen < 10 {
		t.Errorf("%d packages of the library", seen)
	}
}
