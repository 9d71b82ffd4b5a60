package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A snippet comment names a file of the repository, and a region of it or nothing for all of it.
// The code goes into the fenced block in the next line.
var snippetLine = regexp.MustCompile(`^( *)<!-- snippet: ([^\s#]+)(?:#([\w-]+))? -->$`)

// A region begins and ends with a comment of the file's language.
var regionLine = regexp.MustCompile(`^\s*(?://|#|--) #(region|endregion) ([\w-]+)\s*$`)

var fenceLine = regexp.MustCompile("^ *(````*)")

// expand returns text with the code of each snippet.
func expand(root string, text []byte) ([]byte, error) {
	lines := strings.Split(string(text), "\n")
	var out []string
	for i := 0; i < len(lines); i++ {
		out = append(out, lines[i])
		if n := fenced(lines[i:]); n > 0 { // a comment in a block is an example of one
			out = append(out, lines[i+1:i+n]...)
			i += n - 1
			continue
		}
		m := snippetLine.FindStringSubmatch(lines[i])
		if m == nil {
			if strings.Contains(lines[i], "<!-- snippet") {
				return nil, fmt.Errorf("line %d: want <!-- snippet: file#region --> alone on its line", i+1)
			}
			continue
		}
		n := fenced(lines[i+1:])
		if n == 0 || !strings.HasPrefix(lines[i+1], m[1]+"```") {
			return nil, fmt.Errorf("line %d: no fenced block in the line after the snippet", i+1)
		}
		code, err := snippet(root, m[2], m[3])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		out = append(out, lines[i+1])
		for _, line := range code {
			if line != "" {
				line = m[1] + line
			}
			out = append(out, line)
		}
		out = append(out, lines[i+n])
		i += n
	}
	return []byte(strings.Join(out, "\n")), nil
}

// fenced returns the number of lines of the fenced block that lines begin with, or 0.
func fenced(lines []string) int {
	if len(lines) == 0 {
		return 0
	}
	m := fenceLine.FindStringSubmatch(lines[0])
	if m == nil {
		return 0
	}
	for i, line := range lines[1:] {
		if strings.TrimSpace(line) == m[1] {
			return i + 2
		}
	}
	return len(lines)
}

// snippet returns the lines of a region, without the indentation that they have in common.
func snippet(root, file, name string) ([]string, error) {
	if !filepath.IsLocal(file) {
		return nil, fmt.Errorf("snippet %s is outside of the repository", file)
	}
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return nil, err
	}
	lines, err := region(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), name, filepath.Ext(file) == ".go")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			return nil, fmt.Errorf("%s: the code holds the fence of a block", file)
		}
	}
	return dedent(lines), nil
}

// region returns the lines between the comments of a region; those of others in it are left out.
func region(lines []string, name string, isGo bool) (found []string, err error) {
	var open []string // regions that are open, the innermost last
	seen := map[string]bool{}
	within := name == ""
	for i, line := range lines {
		m := regionLine.FindStringSubmatch(line)
		switch {
		case m == nil:
			if within {
				found = append(found, line)
			}
		case m[1] == "region":
			if seen[m[2]] {
				return nil, fmt.Errorf("line %d: region %s is there twice", i+1, m[2])
			}
			if isGo && line[0] == '/' && i+1 < len(lines) && lines[i+1] != "" {
				return nil, fmt.Errorf("line %d: put an empty line after it, or it becomes documentation of what follows", i+1)
			}
			seen[m[2]] = true
			open = append(open, m[2])
			within = within || m[2] == name
		default:
			if len(open) == 0 || open[len(open)-1] != m[2] {
				return nil, fmt.Errorf("line %d: region %s ends and is not open", i+1, m[2])
			}
			open = open[:len(open)-1]
			within = within && m[2] != name
		}
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("region %s does not end", open[0])
	}
	if name != "" && !seen[name] {
		return nil, fmt.Errorf("there is no region %s", name)
	}
	for len(found) > 0 && strings.TrimSpace(found[0]) == "" {
		found = found[1:]
	}
	for len(found) > 0 && strings.TrimSpace(found[len(found)-1]) == "" {
		found = found[:len(found)-1]
	}
	if len(found) == 0 {
		return nil, errors.New("the region is empty")
	}
	return found, nil
}

func dedent(lines []string) []string {
	common := -1
	for _, line := range lines {
		if line = strings.TrimRight(line, " \t"); line != "" {
			if n := len(line) - len(strings.TrimLeft(line, "\t")); common < 0 || n < common {
				common = n
			}
		}
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		if len(line) >= common {
			out[i] = line[max(common, 0):]
		}
	}
	return out
}
