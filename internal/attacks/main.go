// Command attacks counts the rows of the attack catalogue (docs/attacks.md) that have tests. A
// test belongs to row 34 if its name, or the name of a subtest, contains attack_034, and to
// finding A9 if it contains edge_A09.
//
//	go run ./internal/attacks              runs the tests of the module
//	go run ./internal/attacks -json FILE   reads the output of go test -json
//
// rows.txt lists the rows that must be covered, and what the others wait for.
package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// total is the number of numbered rows in the catalogue. Findings come beside them.
const total = 509

//go:embed rows.txt
var rowsFile string

func main() {
	input := flag.String("json", "", "output of go test -json")
	tags := flag.String("tags", "", "build tags of the tests")
	flag.Parse()
	if err := run(*input, *tags, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "attacks:", err)
		os.Exit(1)
	}
}

func run(input, tags string, out io.Writer) error {
	var events io.Reader
	ended := func() error { return nil } // whether all tests passed, where they are run here
	if input != "" {
		f, err := os.Open(input)
		if err != nil {
			return err
		}
		defer f.Close()
		events = f
	} else {
		cmd := exec.Command("go", "test", "-count=1", "-timeout", "30m", "-json", "-tags", tags, "-run", "Test|Fuzz", "./...")
		cmd.Stderr = os.Stderr
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		ended = cmd.Wait
		events = pipe
	}
	rows, failed, err := read(events)
	if err != nil {
		return errors.Join(err, ended())
	}
	if err := ended(); err != nil || len(failed) > 0 {
		return fmt.Errorf("tests failed: %s", strings.Join(failed, ", "))
	}
	required, later, err := parseRows(rowsFile)
	if err != nil {
		return err
	}
	return report(out, rows, required, later)
}

// row is what the tests of one row did.
type row struct {
	passed, failed, skipped int
	packages                map[string]bool
}

// notProven is in the output of a rule that storagetest skips, since the store lacks a part that
// the rule needs. Such a skip says nothing about the row: a store with all parts fails instead.
const notProven = "not proven: the store has no storage."

func (r *row) covered() bool { return r != nil && r.passed > 0 && r.failed == 0 && r.skipped == 0 }

var mark = regexp.MustCompile(`(?i)(?:attack_(\d{3})|edge_([ABC]\d{2}))`)

// read collects the results of marked tests. Of a marked test with subtests the
// subtests count too. failed are all tests that did.
func read(events io.Reader) (rows map[string]*row, failed []string, err error) {
	rows = make(map[string]*row)
	lacking := make(map[string]bool) // tests that printed notProven
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		var e struct{ Action, Package, Test, Output string }
		if len(line) > 0 && json.Unmarshal(line, &e) == nil {
			if e.Action == "fail" {
				failed = append(failed, strings.TrimSpace(e.Package+" "+e.Test))
			}
			if strings.Contains(e.Output, notProven) {
				lacking[e.Package+" "+e.Test] = true
			}
			for _, m := range mark.FindAllStringSubmatch(e.Test, -1) {
				id := m[1] + strings.ToUpper(m[2])
				r := rows[id]
				if r == nil {
					r = &row{packages: make(map[string]bool)}
					rows[id] = r
				}
				switch e.Action {
				case "pass":
					r.passed++
				case "fail":
					r.failed++
				case "skip":
					if !lacking[e.Package+" "+e.Test] {
						r.skipped++
					}
				}
				r.packages[e.Package[strings.Index(e.Package, "vestibule/")+len("vestibule/"):]] = true
			}
		}
		if errors.Is(err, io.EOF) {
			return rows, failed, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// parseRows reads lines "N required" and "N later REASON". N is a row (34), a finding (A9), or
// a range of them (34-40, A9-A12).
func parseRows(text string) (required map[string]bool, later map[string]string, err error) {
	required, later = make(map[string]bool), make(map[string]string)
	for i, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		ids, err := parseRange(f[0])
		if err != nil || len(f) < 2 {
			return nil, nil, fmt.Errorf("rows.txt:%d: want N required, or N later REASON", i+1)
		}
		for _, id := range ids {
			switch f[1] {
			case "required":
				required[id] = true
			case "later":
				later[id] = strings.Join(f[2:], " ")
				delete(required, id)
			}
		}
	}
	return required, later, nil
}

func parseRange(text string) (ids []string, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	letter, last, width := "", total, 3
	if from != "" && to != "" && strings.Contains("ABC", from[:1]) && from[0] == to[0] {
		letter, last, width = from[:1], 99, 2
		from, to = from[1:], to[1:]
	}
	a, err1 := strconv.Atoi(from)
	b, err2 := strconv.Atoi(to)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if a < 1 || b < a || b > last {
		return nil, fmt.Errorf("no rows %s", text)
	}
	for n := a; n <= b; n++ {
		ids = append(ids, fmt.Sprintf("%s%0*d", letter, width, n))
	}
	return ids, nil
}

func report(out io.Writer, rows map[string]*row, required map[string]bool, later map[string]string) error {
	covered, findings := 0, 0
	var problems []string
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		r, state := rows[id], "pass"
		switch {
		case r.failed > 0:
			state = "FAIL"
			problems = append(problems, fmt.Sprintf("row %s fails", id))
		case !r.covered():
			state = "skip"
		case id[0] > '9':
			findings++
		default:
			covered++
		}
		fmt.Fprintf(out, "%s %s %3d tests in %s\n", id, state, r.passed+r.failed+r.skipped, strings.Join(slices.Sorted(maps.Keys(r.packages)), ", "))
	}
	for _, id := range slices.Sorted(maps.Keys(required)) {
		if !rows[id].covered() {
			problems = append(problems, fmt.Sprintf("row %s must be covered and is not", id))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(later)) {
		if !rows[id].covered() {
			fmt.Fprintf(out, "%s later: %s\n", id, later[id])
		}
	}
	for _, p := range problems {
		fmt.Fprintln(out, p)
	}
	fmt.Fprintf(out, "findings covered: %d\n", findings)
	fmt.Fprintf(out, "attacks covered %d of %d\n", covered, total)
	if len(problems) > 0 {
		return fmt.Errorf("%d problems", len(problems))
	}
	return nil
}
