package storagetest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// brokenStore is a store that breaks one rule.
type brokenStore struct {
	rule string // the rule that must fail
	open func() any
}

// TestBroken tests the suite: each broken store must fail, and the failure must name the broken
// rule and its sentence. Each store runs in its own process, so that its failure does not fail this
// test.
func TestBroken(t *testing.T) {
	if testing.Short() {
		t.Skip("the faults of these stores are no data races")
	}
	if len(broken) < 25 {
		t.Errorf("%d broken stores", len(broken))
	}
	for name, b := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			group, rule, _ := strings.Cut(b.rule, "/")
			out, failed := child(t, name, "^"+group+"$/^"+rule+"$")
			if want := "storage contract, " + b.rule + ": "; !failed || !strings.Contains(out, want) {
				t.Errorf("the suite did not find it, want %q in:\n%s", want, out)
			}
		})
	}
}

// TestBrokenControl checks that the same store passes the same rules if it is not broken.
func TestBrokenControl(t *testing.T) {
	if testing.Short() {
		t.Skip("the faults of these stores are no data races")
	}
	broken := map[string]bool{}
	for _, b := range brokenRules() {
		broken[b] = true
	}
	for rule := range broken {
		group, name, _ := strings.Cut(rule, "/")
		if out, failed := child(t, "none", "^"+group+"$/^"+name+"$"); failed || !strings.Contains(out, "--- PASS: TestBrokenChild/"+rule) {
			t.Errorf("a good store fails %s, or the rule does not exist:\n%s", rule, out)
		}
	}
}

func brokenRules() (list []string) {
	for _, b := range broken {
		list = append(list, b.rule)
	}
	return list
}

// child runs rules of the suite on a broken store in another process.
func child(t *testing.T, name, rules string) (out string, failed bool) {
	t.Helper()
	return childOf(t, "TestBrokenChild$/"+rules, "STORAGETEST_BROKEN="+name)
}

// childOf runs tests of this package in another process.
func childOf(t *testing.T, tests, env string) (out string, failed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.v", "-test.run", "^"+tests)
	cmd.Env = append(os.Environ(), env)
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("no end after %v:\n%s", testTimeout, text)
	}
	return string(text), err != nil
}

// TestBrokenChild runs in the process that child starts. Otherwise it does nothing.
func TestBrokenChild(t *testing.T) {
	name := os.Getenv("STORAGETEST_BROKEN")
	if name == "" {
		return
	}
	open := broken[name].open
	if name == "none" {
		open = func() any { return memory.New(nil) }
	}
	storagetest.RunParts(t, func(*testing.T) storagetest.Opened {
		return storagetest.Opened{Store: open(), Beside: memory.New(nil)}
	}, storagetest.PartsOf(open())...)
}
