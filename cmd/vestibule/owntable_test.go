package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// A database whose accounts are in a table of the application: the error says so, and a missing key
// file is reported once.
func TestAccountsOfAnApplication(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	db, err := sqlite.Open(path, &gormstore.Options{Users: &gormstore.UserTable{Table: "people", ID: "id", Name: "name", Active: "active"}})
	if err != nil {
		t.Fatal(err)
	}
	err = db.DB(t.Context()).Exec("CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, active BOOLEAN NOT NULL)").Error
	if err == nil {
		err = db.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	const hint = "the accounts of this database are not in vestibule_users (manage them in your application)"
	run := func(args string) string {
		var out strings.Builder
		err := command(strings.NewReader(""), &out, &out).Run(t.Context(), append([]string{"vestibule", "-db", "sqlite:" + path}, strings.Fields(args)...))
		if err == nil {
			t.Errorf("%s: no error", args)
			return out.String()
		}
		return out.String() + err.Error()
	}
	for _, args := range []string{"user list", "credential list ann", "token list", "knox list ann", "check"} {
		if got := run(args); !strings.Contains(got, hint) {
			t.Errorf("%s: %s", args, got)
		}
	}
	if got := run("check"); strings.Count(got, "app.db.key") != 1 || !strings.Contains(got, "; if the key has another name, pass -key FILE") {
		t.Errorf("a missing key: %s", got)
	}
}
