// Command attacks counts the rows of the attack catalogue that have tests. A test
// belongs to row 34 where its name, or that of a subtest, holds attack_034.
//
//	go run ./internal/attacks              runs the tests of the module
//	go run ./internal/attacks -json FILE   reads the output of go test -json
//
// rows.txt says which rows must be covered by now, and why others are not yet.
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

// total is the number of rows in the catalogue.
const total = 251

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
		cmd := exec.Command("go", "test", "-count=1", "-timeout", "30m", "-json", "-tags", tags, "-run", "attack|Attack|Test|Fuzz", "./...")
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

func (r *row) covered() bool { return r != nil && r.passed > 0 && r.failed == 0 && r.skipped == 0 }

var mark = regexp.MustCompile(`(?i)attack_(\d{3})`)

// read collects the results of marked tests. Of a marked test with subtests the
// subtests count too. failed are all tests that did.
func read(events io.Reader) (rows map[int]*row, failed []string, err error) {
	rows = make(map[int]*row)
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		var e struct{ Action, Package, Test string }
		if len(line) > 0 && json.Unmarshal(line, &e) == nil {
			if e.Action == "fail" {
				failed = append(failed, strings.TrimSpace(e.Package+" "+e.Test))
			}
			for _, m := range mark.FindAllStringSubmatch(e.Test, -1) {
				n, _ := strconv.Atoi(m[1])
				r := rows[n]
				if r == nil {
					r = &row{packages: make(map[string]bool)}
					rows[n] = r
				}
				switch e.Action {
				case "pass":
					r.passed++
				case "fail":
					r.failed++
				case "skip":
					r.skipped++
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

// parseRows reads lines "N required" and "N later REASON", where N may be a range.
func parseRows(text string) (required map[int]bool, later map[int]string, err error) {
	required, later = make(map[int]bool), make(map[int]string)
	for i, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		from, to, isRange := strings.Cut(f[0], "-")
		a, err1 := strconv.Atoi(from)
		b := a
		var err2 error
		if isRange {
			b, err2 = strconv.Atoi(to)
		}
		if err1 != nil || err2 != nil || len(f) < 2 || a < 1 || b > total {
			return nil, nil, fmt.Errorf("rows.txt:%d: want N required, or N later REASON", i+1)
		}
		for n := a; n <= b; n++ {
			switch f[1] {
			case "required":
				required[n] = true
			case "later":
				later[n] = strings.Join(f[2:], " ")
				delete(required, n)
			}
		}
	}
	return required, later, nil
}

func report(out io.Writer, rows map[int]*row, required map[int]bool, later map[int]string) error {
	covered := 0
	var problems []string
	for _, n := range slices.Sorted(maps.Keys(rows)) {
		r, state := rows[n], "pass"
		switch {
		case r.failed > 0:
			state = "FAIL"
			problems = append(problems, fmt.Sprintf("row %03d fails", n))
		case !r.covered():
			state = "skip"
		default:
			covered++
		}
		fmt.Fprintf(out, "%03d %s %3d tests in %s\n", n, state, r.passed+r.failed+r.skipped, strings.Join(slices.Sorted(maps.Keys(r.packages)), ", "))
	}
	for _, n := range slices.Sorted(maps.Keys(required)) {
		if !rows[n].covered() {
			problems = append(problems, fmt.Sprintf("row %03d must be covered and is not", n))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(later)) {
		if !rows[n].covered() {
			fmt.Fprintf(out, "%03d later: %s\n", n, later[n])
		}
	}
	for _, p := range problems {
		fmt.Fprintln(out, p)
	}
	fmt.Fprintf(out, "attacks covered %d of %d\n", covered, total)
	if len(problems) > 0 {
		return fmt.Errorf("%d problems", len(problems))
	}
	return nil
}
