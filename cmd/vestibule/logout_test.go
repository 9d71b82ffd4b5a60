package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// page returns the commands of the blocks of a section of the production guides.
func page(t *testing.T, file, section string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/production/" + file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("%s has no section %q", file, section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	for i, block := range strings.Split(rest, "```") {
		if code, ok := strings.CutPrefix(block, "sh\n"); ok && i%2 == 1 {
			lines = append(lines, strings.Split(strings.TrimSpace(code), "\n")...)
		}
	}
	if len(lines) == 0 {
		t.Fatalf("%s, %q: no commands", file, section)
	}
	return lines
}

// What the guides say for a stolen or restored database logs everybody out, whatever name they
// chose, and so does a command about one such account.
func TestLogoutEverywhere(t *testing.T) {
	path := t.TempDir() + "/db"
	t.Setenv("VESTIBULE_DB", "sqlite:"+path)
	run := func(args ...string) (string, error) {
		var out strings.Builder
		err := command(strings.NewReader("wonderland-42\n"), &out, &out).Run(t.Context(), append([]string{"vestibule"}, args...))
		return out.String(), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := run(args...)
		if err != nil {
			t.Fatal(args, out, err)
		}
		return out
	}
	must("migrate")
	names := []string{"alice", "-h", "--", "-x", "--help", "-all"}
	for _, name := range names {
		must("user", "create", "--", name)
	}
	must("user", "disable", "--", "-x")
	db, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	epoch := func(name string) int64 {
		t.Helper()
		u, err := db.UserByName(t.Context(), name)
		if err != nil {
			t.Fatal(name, err)
		}
		return u.Epoch
	}
	for file, section := range map[string]string{"incidents.md": "A stolen database", "backup.md": "What a restore revives"} {
		t.Run("attack_443_"+file, func(t *testing.T) {
			before := make(map[string]int64)
			for _, name := range names {
				before[name] = epoch(name)
			}
			for _, line := range page(t, file, section) {
				if words := strings.Fields(line); words[0] != "#" {
					if words[0] != "vestibule" || strings.ContainsAny(line, "|;$'\"`") {
						t.Fatalf("%q is more than a command of vestibule: run it here too", line)
					}
					must(words[1:]...)
				}
			}
			for _, name := range names {
				if epoch(name) <= before[name] {
					t.Errorf("%s is not logged out", name)
				}
			}
		})
	}
	for _, name := range names {
		t.Run("attack_443_"+name, func(t *testing.T) {
			before := epoch(name)
			if out := must("user", "logout-everywhere", "--", name); !strings.Contains(out, "logged out user "+name+" everywhere; its tokens and sessions are revoked") || epoch(name) <= before {
				t.Error(out)
			}
			other := epoch("alice")
			for _, command := range []string{"disable", "enable", "passwd"} {
				must("user", command, "--", name)
			}
			if name != "alice" && epoch("alice") != other {
				t.Error("another account was changed")
			}
		})
	}
	t.Run("attack_230", func(t *testing.T) {
		since := time.Now().UTC().Format(time.RFC3339Nano)
		for _, want := range []string{"logged out 6 accounts everywhere;", "logged out 0 accounts everywhere;"} { // the second finds all done
			if out := must("user", "logout-everywhere", "-all", "-before", since); !strings.Contains(out, want) {
				t.Error(out)
			}
		}
		for _, x := range []struct{ args, want string }{
			{"-all alice", "unexpected argument"}, {"", "expected one argument"}, {"-before " + since + " alice", "-before requires -all"},
			{"-all -before yesterday", "invalid time"}, {"-all -before 2999-01-01T00:00:00Z", "in the future"}, {"nobody", "does not exist"},
		} {
			alice := epoch("alice")
			if out, err := run(append([]string{"user", "logout-everywhere"}, strings.Fields(x.args)...)...); err == nil || !strings.Contains(err.Error(), x.want) || epoch("alice") != alice {
				t.Errorf("%s: %s, %v", x.args, out, err)
			}
		}
		// What stops it says how to continue.
		exec := db.DB(t.Context()).Exec("CREATE TRIGGER full BEFORE UPDATE ON vestibule_subjects BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
		if exec.Error != nil {
			t.Fatal(exec.Error)
		}
		_, err := run("user", "logout-everywhere", "-all")
		if err == nil || !strings.Contains(err.Error(), "stopped after 0 accounts: ") || !strings.Contains(err.Error(), "(continue with -all -before 20") {
			t.Error(err)
		}
	})
}
