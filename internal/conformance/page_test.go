package conformance

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of the page")

const (
	page = "../../docs/oauth2/conformance.md"
	from = "<!-- begin generated tables: go test ./internal/conformance -run TestPage -update -->\n"
	to   = "<!-- end generated tables -->\n"
)

// The tables of the page are the rows of the tests.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	check(t, err)
	before, rest, ok := strings.Cut(string(text), from)
	tables, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatal("the page has no place for the tables")
	}
	want := "\n" + tablesOf(plans()) + "\n"
	if *update {
		check(t, os.WriteFile(page, []byte(before+from+want+to+after), 0o644))
		return
	}
	if tables != want {
		t.Errorf("the tables are not those of the tests; write them with: go test ./internal/conformance -run TestPage -update")
	}
}

// tablesOf returns the tables of all plans.
func tablesOf(list []plan) string {
	var b strings.Builder
	b.WriteString("| Test | Plan of the suite | Modules | Met | On purpose | Not met yet |\n|---|---|---|---|---|---|\n")
	for _, p := range list {
		counts := map[string]int{}
		for _, r := range p.rows {
			counts[r.status()]++
		}
		fmt.Fprintf(&b, "| `%s` | %s | %d | %d | %d | %d |\n", p.test, p.about, len(p.rows), counts["met"], counts["on purpose"], counts["not met yet"])
	}
	for _, p := range list {
		fmt.Fprintf(&b, "\n## %s\n\n`%s`", p.test, p.name)
		if p.prefix != "" {
			fmt.Fprintf(&b, ", without the prefix `%s`", p.prefix)
		}
		b.WriteString(".\n\n| Module | Status | Remark |\n|---|---|---|\n")
		for _, r := range p.rows {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.module, r.status(), r.remark())
		}
	}
	return b.String()
}

// The plans have as many modules as those of the suite, and none twice.
func TestPlansAreComplete(t *testing.T) {
	want := map[string]int{"TestOIDFBasic": 38, "TestOIDFConfig": 1, "TestOIDFLogout": 11, "TestOIDFBackchannel": 2, "TestOIDFFormPost": 38, "TestFAPI2": 56}
	for _, p := range plans() {
		seen := map[string]bool{}
		for _, r := range p.rows {
			if seen[r.module] {
				t.Errorf("%s: %s occurs twice", p.test, r.module)
			}
			seen[r.module] = true
			if r.missing == "" && (r.check == nil || len(r.broken) == 0) {
				t.Errorf("%s: %s has no module or no broken server", p.test, r.module)
			}
		}
		if len(p.rows) != want[p.test] {
			t.Errorf("%s has %d modules, want %d", p.test, len(p.rows), want[p.test])
		}
	}
}
