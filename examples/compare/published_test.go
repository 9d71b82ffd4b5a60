package main

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/storage"
)

// The demo users and the demo client, whose passwords and secret everybody knows, are in demo
// databases only.
func TestPublishedCredentials_attack_343(t *testing.T) {
	path := "sqlite:" + t.TempDir()
	for _, x := range []struct {
		what, db          string
		args              []string
		account           string // that is there before
		user, other, demo bool   // alice, dave and the demo client are there afterwards
	}{
		{"a database of one's own", "/own", nil, "carol", false, false, false},
		{"the same, with -user", "/own", []string{"-user", "dave:y"}, "", false, true, false},
		{"the same, with -demo", "/own", []string{"-demo"}, "", true, true, true},
		{"a new database", "/new", nil, "", true, false, true},
		{"the same, after somebody joined", "/new", []string{"-user", "dave:y"}, "carol", true, true, true},
		{"a new one with other users", "/other", []string{"-user", "dave:y"}, "", false, true, true},
		{"the same without", "/other", nil, "", true, true, true}, // an earlier run made it
	} {
		cfg, err := parseFlags(append([]string{"-db", path + x.db}, x.args...))
		must(t, err)
		cfg.FailureFloor = time.Nanosecond
		demotest.Weaken(t, &cfg.Flags)
		db, ring, cleanup, err := cfg.Open(t.Context())
		must(t, err)
		if x.account != "" {
			must(t, db.CreateUser(t.Context(), storage.User{ID: x.account, Name: x.account, Active: true}))
		}
		_, err = newServer(t.Context(), cfg, db, ring)
		must(t, err)
		for name, want := range map[string]bool{"alice": x.user, "dave": x.other} {
			if _, err := db.UserByName(t.Context(), name); (err == nil) != want {
				t.Errorf("%s: %s: %v, want it there: %t", x.what, name, err, want)
			}
		}
		if _, err := db.ClientByID(t.Context(), demoClient); (err == nil) != x.demo {
			t.Errorf("%s: the client: %v, want it there: %t", x.what, err, x.demo)
		}
		cleanup()
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
