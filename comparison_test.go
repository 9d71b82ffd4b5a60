// Package vestibule_test asks every scheme the same questions, on real databases and over
// HTTP, and prints the answers as a table: docs/comparison.md.
package vestibule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

//go:generate go test -run Comparison -update .

var update = flag.Bool("update", false, "write docs/comparison.md and the table of examples/compare")

const (
	document = "docs/comparison.md"
	data     = "examples/compare/web/comparison.json"
)

// row is one question and its answers, in the order of contenders.
type row struct {
	Question string   `json:"question"`
	How      string   `json:"how"`
	Answers  []string `json:"answers"`
	Django   []string `json:"django,omitempty"`
}

// questions are asked in this order: expiry finds the life that later ones need.
var questions = []struct {
	question, how string
	ask           func(*probe) string
}{
	{"stateless", "no statement reaches the database while a request is answered", (*probe).stateless},
	{"statements a request", "counted between the store and the database, from the second request on, and a minute later: a use is noted, signing keys are read, a password is hashed anew", (*probe).statementsPerRequest},
	{"expires after", "the clock is moved to the first second that is refused", (*probe).expiry},
	{"renewed without the password", "all that the login gave is tried wherever something is refreshed, a used one too", (*probe).refresh},
	{"several devices", "two logins, one logout", (*probe).devices},
	{"logout ends it", "log out by the scheme's own endpoint, then use it", (*probe).byLogout},
	{"log-out-everywhere ends it", "one write to the account, the first that storage.LogoutEverywhere makes, then use it", (*probe).byEverywhere},
	{"a new password ends it", "change the password, then use it", (*probe).byPassword},
	{"disabling the account ends it", "disable the account, then use it", (*probe).byDisabling},
	{"a stolen database holds", "every value and the raw file are searched, and every value is tried as a credential", (*probe).stolen},
	{"cross-site check", "does a browser send it by itself, and may another site's page then change something", (*probe).crossSite},
	{"survives a restart", "new objects over the same database and key file", (*probe).restart},
	{"works on a second replica", "a second server over the same database; then it is ended at the first", (*probe).replica},
}

// measure asks all questions of all schemes. A scheme has a database of its own.
func measure(t *testing.T, dialect string) []row {
	rows := make([]row, len(questions))
	for i, q := range questions {
		rows[i] = row{Question: q.question, How: q.how, Answers: make([]string, len(contenders)), Django: django[q.question]}
	}
	for c, contender := range contenders {
		w := newWorld(t, dialect)
		p := &probe{contender: contender, site: w.start()}
		for i, q := range questions {
			rows[i].Answers[c] = q.ask(p)
		}
	}
	return rows
}

func TestComparison(t *testing.T) {
	if testing.Short() {
		t.Skip("logs in hundreds of times")
	}
	var table []row
	for _, dialect := range []string{"sqlite", "postgres"} {
		t.Run(dialect, func(t *testing.T) {
			rows := measure(t, dialect)
			if table == nil {
				table = rows
				return
			}
			for i, r := range rows {
				if !slices.Equal(r.Answers, table[i].Answers) {
					t.Errorf("%s:\n %q, with SQLite\n %q", r.Question, r.Answers, table[i].Answers)
				}
			}
		})
	}
	if t.Failed() || table == nil {
		return
	}
	print(t, table)
	var names []string
	for _, c := range contenders {
		names = append(names, c.name)
	}
	text, err := json.MarshalIndent(map[string]any{"schemes": names, "rows": table}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{document: markdown(names, table), data: append(text, '\n')} {
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what was measured (%v): look at the table above, then go generate .", name, err)
		}
	}
}

// print shows the table with what is measured and differs from machine to machine.
func print(t *testing.T, table []row) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	for c, contender := range contenders {
		fmt.Fprintf(w, "\n%s\t\n", strings.ToUpper(contender.name))
		for _, r := range table {
			fmt.Fprintf(w, "  %s\t%s", r.Question, r.Answers[c])
			if r.Django != nil && r.Django[c] != "" {
				fmt.Fprintf(w, "\t(Django: %s)", r.Django[c])
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "  one check, SQLite, this machine\t%v\n", cost(t, contender))
	}
	_ = w.Flush()
	t.Log(b.String())
}

// cost is the median time of a check with its middleware, without the network.
func cost(t *testing.T, c contender) time.Duration {
	p := &probe{contender: c, site: newWorld(t, "sqlite").start()}
	check := p.check()
	times := make([]time.Duration, 31)
	for i := range times {
		begin := time.Now()
		if status := check(); status != http.StatusOK {
			t.Fatalf("%s: %d", c.name, status)
		}
		times[i] = time.Since(begin)
	}
	slices.Sort(times)
	return times[len(times)/2].Round(time.Microsecond)
}

// markdown is the document.
func markdown(names []string, table []row) []byte {
	var b bytes.Buffer
	b.WriteString(`# The schemes side by side

<!-- Made by "go generate ." from what comparison_test.go observes; do not edit. -->

Every cell is the outcome of an experiment that ` + "`scripts/with-services go test -run Comparison -v .`" + ` repeats over HTTP with SQLite and with PostgreSQL, which must agree; it prints
the time of one check on your machine too, and ` + "`go test -bench Compare .`" + ` has more of those. The test fails where a cell is no longer what it was.
The lines in italics say how it is with Django REST framework, django-rest-knox, simplejwt, django-oauth-toolkit and Django's own sessions, by default and
as their code states it: they are facts from reading, not measured here. "–": no statement. No store is behind a cache here: with [storage/cached](caching.md) most requests need no
statement, and what another process ended may live on for the cache's time. "JWT, verified by another service" asks no store at all; "Basic, cached" is ` + "`password.Cached`" + `.

`)
	line := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(append([]string{""}, names...)...)
	line(slices.Repeat([]string{"---"}, len(names)+1)...)
	for _, r := range table {
		line(append([]string{"**" + r.Question + "**"}, r.Answers...)...)
		if r.Django != nil {
			cells := []string{"*Django*"}
			for _, d := range r.Django {
				if d == "" {
					d = "–"
				}
				cells = append(cells, "*"+d+"*")
			}
			line(cells...)
		}
	}
	b.WriteString("\nHow each was found out:\n\n")
	for _, r := range table {
		fmt.Fprintf(&b, "- **%s**: %s.\n", r.Question, r.How)
	}
	return b.Bytes()
}
