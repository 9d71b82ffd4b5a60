package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	const events = `not json
{"Action":"pass","Package":"m/vestibule/a","Test":"TestX/attack_001_one"}
{"Action":"pass","Package":"m/vestibule/b","Test":"TestX/attack_002_attack_003_two"}
{"Action":"fail","Package":"m/vestibule/b","Test":"TestY/attack_002_again"}
{"Action":"pass","Package":"m/vestibule/b","Test":"TestY/attack_004"}
{"Action":"skip","Package":"m/vestibule/b","Test":"TestZ/attack_004"}
{"Action":"output","Package":"m/vestibule/b","Test":"TestKeys/attack_001_one","Output":"    a.go:1: not proven: the store has no storage.Sessions\n"}
{"Action":"skip","Package":"m/vestibule/b","Test":"TestKeys/attack_001_one"}
{"Action":"output","Package":"m/vestibule/b","Test":"TestKeys/attack_005","Output":"    a.go:1: not proven: the store has no storage.Sessions\n"}
{"Action":"skip","Package":"m/vestibule/b","Test":"TestKeys/attack_005"}
{"Action":"skip","Package":"m/vestibule/c","Test":"TestKeys/attack_003_no_server"}
{"Action":"run","Package":"m/vestibule/b","Test":"TestZ/attack_005"}
{"Action":"pass","Package":"m/vestibule/b","Test":"TestZ"}
{"Action":"pass","Package":"m/vestibule/b","Test":"TestZ/edge_A09/slash"}
{"Action":"pass","Package":"m/vestibule/b","Test":"Test_Edge_b15"}
{"Action":"fail","Package":"m/vestibule/b","Test":"TestZ/edge_C01"}
`
	rows, failed, err := read(strings.NewReader(events))
	if err != nil || len(failed) != 2 || failed[0] != "m/vestibule/b TestY/attack_002_again" {
		t.Fatal(failed, err)
	}
	for n, want := range map[string]bool{"001": true, "002": false, "003": false, "004": false, "005": false, "006": false, "A09": true, "B15": true, "C01": false, "A10": false} {
		if got := rows[n].covered(); got != want {
			t.Errorf("row %s: %t", n, got)
		}
	}
	required, later, err := parseRows("# x\n1-3 required\n6 required\n6 later because\nA9-A10 required\nC1 required\n")
	if err != nil || len(required) != 6 || later["006"] != "because" {
		t.Fatal(required, later, err)
	}
	var out strings.Builder
	if err := report(&out, rows, required, later); err == nil || !strings.HasSuffix(out.String(), "attacks covered 1 of 509\n") || !strings.Contains(out.String(), "row 002 must be covered") || !strings.Contains(out.String(), "row A10 must be covered") {
		t.Errorf("%v\n%s", err, out.String())
	}
	for _, id := range []string{"002", "003", "C01", "A10"} {
		delete(required, id)
		delete(rows, id)
	}
	if err := report(&out, rows, required, later); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"x required", "1", "0 required", "1-999 required", "3-1 required", "A9-B2 required", "D1 required", "A required", "- required"} {
		if _, _, err := parseRows(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, _, err := parseRows(rowsFile); err != nil {
		t.Error(err)
	}
}

// The catalogue numbers its rows without a gap, and has as many as are counted.
func TestCatalogue(t *testing.T) {
	text, err := os.ReadFile("../../docs/attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	next := 1
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(string(text), -1) {
		if m[1] != strconv.Itoa(next) {
			t.Errorf("row %s where %d is due", m[1], next)
		}
		next++
	}
	if next-1 != total {
		t.Errorf("%d rows, total is %d", next-1, total)
	}
}

// Every row of the catalogue is in rows.txt, which names no others: a row that is not listed
// could lose its tests unnoticed.
func TestEveryRowIsListed(t *testing.T) {
	text, err := os.ReadFile("../../docs/attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	if absent, unknown := unlisted(t, string(text), rowsFile); len(absent)+len(unknown) > 0 {
		t.Errorf("rows of docs/attacks.md that rows.txt does not list: %v; rows of rows.txt that are not there: %v", absent, unknown)
	}
	const catalogue = "| # | attack |\n|---|---|\n| 1 | a |\n| 2 | b |\n| 3 | c |\n"
	if absent, unknown := unlisted(t, catalogue, "1 required\n3-4 later because\n"); !slices.Equal(absent, []string{"002"}) || !slices.Equal(unknown, []string{"004"}) {
		t.Errorf("absent %v, unknown %v", absent, unknown)
	}
}

// unlisted compares the numbered rows of a catalogue with those that a list names.
func unlisted(t *testing.T, catalogue, list string) (absent, unknown []string) {
	t.Helper()
	required, later, err := parseRows(list)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(catalogue, -1) {
		n, _ := strconv.Atoi(m[1])
		id := fmt.Sprintf("%03d", n)
		known[id] = true
		if _, ok := later[id]; !ok && !required[id] {
			absent = append(absent, id)
		}
	}
	for id := range required {
		if id[0] <= '9' && !known[id] {
			unknown = append(unknown, id)
		}
	}
	for id := range later {
		if id[0] <= '9' && !known[id] {
			unknown = append(unknown, id)
		}
	}
	slices.Sort(unknown)
	return absent, unknown
}
