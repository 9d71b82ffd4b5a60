package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	versionPart = regexp.MustCompile(`(?s)\nVERSION:\n.*?\n\n`)
	globalPart  = regexp.MustCompile(`(?s)\n+GLOBAL OPTIONS:\n.*$`)
	helpLine    = regexp.MustCompile(`(?m)^ +(--help, -h|help, h|--version, -v) .*\n`)
	trailing    = regexp.MustCompile(`(?m) +$`)
	emptyPart   = regexp.MustCompile(`\n[A-Z]+:\n(\n|$)`)
	subcommand  = regexp.MustCompile(`(?m)^   ([a-z-]+)(?:, [a-z])?  +\S`)
)

// commandLine writes the help of every command of cmd/vestibule.
func commandLine(root string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "docs")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "vestibule")
	build := exec.Command("go", "build", "-o", program, "./cmd/vestibule")
	build.Dir, build.Stderr = root, os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(front{"Command-line reference", "The help of every command of the vestibule program.", "reference", "operator"}.header())
	b.WriteString("# Command-line reference\n\n" + generated)
	b.WriteString("For what the commands are used for, see [the command line](../cli.md). Every command also has `-h`, and takes the global options before its name.\n")
	if err := help(&b, program); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

// help writes the help of a command and of those below it.
func help(b *strings.Builder, program string, command ...string) error {
	cmd := exec.Command(program, append(command, "-h")...)
	cmd.Env = []string{"HOME=/", "COLUMNS=100"} // no setting of the environment is in the text
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s -h: %w", strings.Join(command, " "), err)
	}
	text := helpLine.ReplaceAllString(versionPart.ReplaceAllString(string(out), "\n"), "")
	if len(command) > 0 {
		text = globalPart.ReplaceAllString(text, "\n")
	}
	text = strings.TrimSpace(emptyPart.ReplaceAllString(trailing.ReplaceAllString(text, ""), "\n"))
	fmt.Fprintf(b, "\n## %s\n\n```text\n%s\n```\n", strings.Join(append([]string{"vestibule"}, command...), " "), text)
	_, below, ok := strings.Cut(text, "\nCOMMANDS:\n")
	if !ok {
		return nil
	}
	below, _, _ = strings.Cut(below, "\n\n")
	for _, m := range subcommand.FindAllStringSubmatch(below, -1) {
		if err := help(b, program, append(command[:len(command):len(command)], m[1])...); err != nil {
			return err
		}
	}
	return nil
}
