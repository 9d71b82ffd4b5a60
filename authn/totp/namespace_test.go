package totp_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/totp"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// An account table gets a name, which becomes a part of all subjects. Second factors stay valid.
func TestNamedAccountTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, db)
	w.now = time.Now()
	key, printed := w.enroll()
	named, err := sqlite.Open(path, &gormstore.Options{Space: "staff"})
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	if err := named.NameSpace(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.user, err = named.UserByName(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if w.x, err = totp.New(named, w.ring, "Example", &totp.Options{Clock: func() time.Time { return w.now }}); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	for _, code := range []string{codeAt(t, key, w.now), printed[0]} {
		if l, err := w.x.Finish(t.Context(), w.begin(), code); err != nil || l.Subject != "staff:id-alice" {
			t.Errorf("%q, %v", l.Subject, err)
		}
	}
}
