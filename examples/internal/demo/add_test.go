package demo_test

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// Users with passwords that everybody knows are added to a database that the run creates; to another
// one only if a flag says so.
func TestPublishedUsers_attack_343(t *testing.T) {
	for name, x := range map[string]struct {
		flags        []string
		exists       bool   // an earlier program migrated the database
		before       string // accounts in it
		added        string
		isDemo       bool
		addedAgain   string // at the next run, after all were deleted
		isDemoSecond bool
	}{
		"a new database":                     {nil, false, "", "alice bob", true, "", false},
		"an empty one that exists":           {nil, true, "", "alice bob", true, "", false},
		"somebody else's account":            {nil, true, "carol", "", false, "", false},
		"only such users":                    {nil, true, "alice", "", false, "", false},
		"-demo":                              {[]string{"-demo"}, true, "carol", "alice bob", true, "alice bob", true},
		"-user":                              {[]string{"-user", "dave:y"}, true, "carol", "dave", false, "dave", false},
		"-user in a new database":            {[]string{"-user", "dave:y"}, false, "", "dave", true, "dave", false},
		"-user with a published account":     {[]string{"-user", "alice:wonderland-42"}, true, "carol", "alice", false, "alice", false},
		"-user beside the same, made before": {[]string{"-user", "alice:wonderland-42"}, true, "alice", "", false, "alice", false},
	} {
		t.Run(name, func(t *testing.T) {
			path := "sqlite:" + t.TempDir() + "/db"
			run := func(after func(*gormstore.Store, *demo.Flags)) {
				f := demo.Flags{FailureFloor: time.Nanosecond}
				fs := flag.NewFlagSet("", flag.ContinueOnError)
				fs.SetOutput(io.Discard)
				f.Register(fs, demo.User{Name: "alice", Password: "wonderland-42"}, demo.User{Name: "bob", Password: "bob-the-builder-42"})
				must(t, fs.Parse(append([]string{"-db", path}, x.flags...)))
				demotest.Weaken(t, &f)
				db, ring, cleanup, err := f.Open(t.Context())
				must(t, err)
				defer cleanup()
				passwords, err := f.Passwords(db, ring)
				must(t, err)
				must(t, f.AddUsers(t.Context(), db, passwords))
				after(db, &f)
			}
			if x.exists {
				db, err := sqlite.Open(strings.TrimPrefix(path, "sqlite:"), nil)
				must(t, err)
				must(t, db.Migrate(t.Context()))
				for name := range strings.FieldsSeq(x.before) {
					must(t, db.CreateUser(t.Context(), storage.User{ID: name, Name: name, Active: true}))
				}
				must(t, db.Close())
			}
			for _, want := range []struct {
				added  string
				isDemo bool
			}{{x.added, x.isDemo}, {x.addedAgain, x.isDemoSecond}} {
				run(func(db *gormstore.Store, f *demo.Flags) {
					if f.IsDemo() != want.isDemo {
						t.Errorf("a demo: %t", f.IsDemo())
					}
					list, err := db.ListUsers(t.Context(), "", 10)
					must(t, err)
					var added []string
					for _, u := range list {
						if u.ID != u.Name { // else it was there before
							added = append(added, u.Name)
						}
						must(t, db.DeleteUser(t.Context(), u.ID))
					}
					if strings.Join(added, " ") != want.added {
						t.Errorf("added %q, want %q", added, want.added)
					}
				})
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
