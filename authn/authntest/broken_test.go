package authntest_test

import (
	"context"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/authntest/internal/broken"
)

// world returns a World with the faulty scheme of c.
func world(t *testing.T, c broken.Case) authntest.World {
	s, err := broken.New()
	if err != nil {
		t.Fatal(err)
	}
	if c.Base == "" {
		c.Base = broken.Field
	}
	scheme, err := s.Scheme(c.Base)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(purpose, subject string, scopes []string) (text, id string) {
		text, id, err := s.Issue(purpose, subject, scopes)
		if err != nil {
			t.Fatal(err)
		}
		return text, id
	}
	credential := func(purpose, subject string, scopes []string) func(*http.Request) {
		text, _ := issue(purpose, subject, scopes)
		return c.Base.Add(text)
	}
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	text, id := issue(broken.Purpose(), "alice", nil)
	if c.Break != nil {
		if instead := c.Break(s, s.Keys, scheme); instead != nil {
			scheme = instead
		}
	}
	return authntest.World{
		Scheme: scheme, Good: c.Base.Add(text), Other: credential(broken.Purpose(), "bob", nil), Unknown: c.Base.Add(s.Unknown()),
		Scoped: credential(broken.Purpose(), "alice", []string{"read"}), Scopeless: credential(broken.Purpose(), "alice", []string{}),
		Bad: map[string]func(*http.Request){
			"malformed": c.Base.Add(text[:len(text)-1]), "junk": c.Base.Add("junk"), "another scheme's": credential("knox", "alice", nil),
		},
		Expire: func() { s.Pass(broken.TTL) }, Revoke: func() { must(s.Keys.Revoke("alice", id)) }, Disable: func() { s.Disable("alice") },
		LogoutEverywhere: func() {
			_, err := s.Store.BumpEpoch(context.Background(), "alice")
			must(err)
		},
		Fail: s.Fail, Written: s.Written,
	}
}

// A correct scheme passes, and every rule is tested with one of the bases.
func TestCorrect(t *testing.T) {
	for _, base := range []broken.Base{broken.Field, broken.Authorization, broken.Cookie} {
		t.Run(string(base), func(t *testing.T) {
			authntest.Run(t, func(t *testing.T) authntest.World { return world(t, broken.Case{Base: base}) })
		})
	}
}

// skipped reports whether this run skips a case. The race detector has cases of its own, and makes
// the others much slower.
func skipped(c broken.Case) bool { return c.Race != raceEnabled }

// TestBroken tests the suite: it finds each of the faulty schemes, by the violated rule and by no
// other. A failing scheme must not fail this test, so the cases run in another process.
func TestBroken(t *testing.T) {
	if len(broken.Cases) < 25 {
		t.Errorf("%d broken schemes", len(broken.Cases))
	}
	found, sentences := failures(t)
	names := map[string]string{}
	for _, r := range authntest.Rules() {
		names[r.Name] = r.Sentence
	}
	covered := map[string]bool{}
	for name, c := range broken.Cases {
		covered[c.Rule] = true
		if skipped(c) {
			continue
		}
		t.Run("edge_A08/"+name, func(t *testing.T) {
			if got := found[name]; !slices.Equal(got, []string{c.Rule}) {
				t.Errorf("found by the rules %q, want %q", got, c.Rule)
			}
			if want := "authenticator contract, " + c.Rule + ": " + names[c.Rule]; names[c.Rule] == "" || !strings.Contains(sentences[name], want) {
				t.Errorf("the failure does not say %q:\n%s", want, sentences[name])
			}
		})
	}
	for name := range names {
		if !covered[name] {
			t.Errorf("no broken scheme proves the rule %s", name)
		}
	}
}

var failLine = regexp.MustCompile(`^\s*--- FAIL: TestBrokenChild/([^/ ]+)/([^/ ]+) `)

// failures runs all cases in another process. It returns the rules that failed by case, and their
// output.
func failures(t *testing.T) (rules map[string][]string, output map[string]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", "^TestBrokenChild$")
	cmd.Env = append(os.Environ(), "AUTHNTEST_BROKEN=1")
	text, err := cmd.CombinedOutput()
	if err == nil || strings.Contains(string(text), "\npanic: ") {
		t.Fatalf("%v:\n%s", err, text)
	}
	byTest := map[string]string{}
	for name := range broken.Cases {
		byTest[strings.ReplaceAll(name, " ", "_")] = name
	}
	rules, output = map[string][]string{}, map[string]string{}
	current := ""
	for line := range strings.Lines(string(text)) {
		if _, at, ok := strings.Cut(line, "=== RUN   TestBrokenChild/"); ok {
			test, _, _ := strings.Cut(strings.TrimSpace(at), "/")
			current = byTest[test]
		}
		if !strings.HasPrefix(line, "=== RUN") {
			output[current] += line
		}
		if m := failLine.FindStringSubmatch(line); m != nil {
			rules[byTest[m[1]]] = append(rules[byTest[m[1]]], m[2])
		}
	}
	return rules, output
}

// TestBrokenChild runs in the process of failures. Otherwise it does nothing.
func TestBrokenChild(t *testing.T) {
	if os.Getenv("AUTHNTEST_BROKEN") == "" {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(broken.Cases)) {
		if c := broken.Cases[name]; !skipped(c) {
			t.Run(name, func(t *testing.T) {
				authntest.Run(t, func(t *testing.T) authntest.World { return world(t, c) })
			})
		}
	}
}

var _ authn.Keeper = (*broken.Keys)(nil)
