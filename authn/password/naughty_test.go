package password_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// Naughty strings as names, e-mail addresses and passwords are either rejected cleanly, or create
// an account that its own password opens, in a real database.
func TestNaughtyStrings(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	t.Parallel()
	dir := os.Getenv("VESTIBULE_VECTORS")
	text, err := os.ReadFile(filepath.Join(dir, "security", "naughty-strings", "blns.json"))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("the naughty strings did not run: set VESTIBULE_VECTORS to the folder that holds security/naughty-strings")
	}
	var list []string
	must(t, json.Unmarshal(text, &list))
	w := newWorld(t, cheap(), password.Options{FailureFloor: time.Nanosecond})
	db, err := sqlite.Open(":memory:", nil)
	must(t, err)
	defer db.Close()
	must(t, db.Migrate(t.Context()))
	w.checker, err = password.New(db, cheap(), &password.Options{FailureFloor: time.Nanosecond, MinLength: 1, InsecureAllowCommon: true, Canonical: func(s string) (string, error) { return s, storage.CheckID("name", s) }})
	must(t, err)
	made := 0
	for _, s := range list {
		u, err := w.checker.Register(t.Context(), password.NewUser{Name: s, Email: s, Password: s})
		if err != nil {
			if status(err) != 400 {
				t.Errorf("%q: %v", s, err)
			}
			continue
		}
		made++
		if l, err := w.login(s, s); err != nil || l.Subject != u.ID || u.Name != s || u.Email != s {
			t.Errorf("%q: %+v, %v", s, l, err)
		}
	}
	t.Logf("%d accounts of %d strings", made, len(list))
	if made < 100 {
		t.Errorf("%d accounts of %d strings", made, len(list))
	}
}
