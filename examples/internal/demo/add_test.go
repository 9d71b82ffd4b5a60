package demo_test

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Users with passwords that everybody knows are added to a new database, or to one that has only
// such users; to another one only if somebody says so.
func TestPublishedUsers_attack_343(t *testing.T) {
	for name, x := range map[string]struct {
		flags  []string
		before map[string]string // accounts with their passwords
		added  string
		isDemo bool
	}{
		"a new database":                 {nil, nil, "alice bob", true},
		"an earlier run was cut short":   {nil, map[string]string{"alice": "wonderland-42"}, "bob", true},
		"all there":                      {nil, map[string]string{"alice": "wonderland-42", "bob": "bob-the-builder-42"}, "", true},
		"somebody else's account":        {nil, map[string]string{"carol": "x"}, "", false},
		"one among them":                 {nil, map[string]string{"alice": "wonderland-42", "carol": "x"}, "", false},
		"an alice of one's own":          {nil, map[string]string{"alice": "another"}, "", false},
		"-demo":                          {[]string{"-demo"}, map[string]string{"carol": "x"}, "alice bob", true},
		"-user":                          {[]string{"-user", "dave:y"}, map[string]string{"carol": "x"}, "dave", false},
		"-user in a new database":        {[]string{"-user", "dave:y"}, nil, "dave", true},
		"-user with a published account": {[]string{"-user", "alice:wonderland-42"}, map[string]string{"carol": "x"}, "alice", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := demo.Flags{LoginRate: "10/m", FailureFloor: time.Nanosecond}
			fs := flag.NewFlagSet("", flag.ContinueOnError)
			fs.SetOutput(io.Discard)
			f.Register(fs, demo.User{Name: "alice", Password: "wonderland-42"}, demo.User{Name: "bob", Password: "bob-the-builder-42"})
			must(t, fs.Parse(x.flags))
			demotest.Weaken(t, &f)
			db := memory.New(nil)
			ring, err := keys.NewRing(keys.Generate())
			must(t, err)
			passwords, err := f.Passwords(db, ring)
			must(t, err)
			for name, text := range x.before {
				_, err := passwords.Register(t.Context(), password.NewUser{Name: name, Password: text})
				must(t, err)
			}
			for range 2 { // the second run changes nothing
				isDemo, err := f.IsDemo(t.Context(), db)
				if must(t, err); isDemo != x.isDemo {
					t.Errorf("a demo: %t", isDemo)
				}
				must(t, f.AddUsers(t.Context(), db, passwords))
			}
			list, err := db.ListUsers(t.Context(), "", 10)
			must(t, err)
			var added []string
			for _, u := range list {
				if _, was := x.before[u.Name]; !was {
					added = append(added, u.Name)
				}
			}
			if slices.Sort(added); strings.Join(added, " ") != x.added {
				t.Errorf("added %q, want %q", added, x.added)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, storage.ErrConflict) {
		t.Fatal(err)
	}
}
