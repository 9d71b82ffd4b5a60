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
	n := 0
	for line := range strings.Lines(read(t, "apikey/apikey.go")) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "// #") {
			n++
		}
	}
	if n >= 90 {
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
