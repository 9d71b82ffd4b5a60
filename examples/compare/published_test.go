package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// The demo users and the demo client, whose passwords and secret everybody knows, are in demo
// databases only.
func TestPublishedCredentials_attack_343(t *testing.T) {
	path := "sqlite:" + t.TempDir()
	for _, x := range []struct {
		what, db          string
		args              []string
		deleted           string // the account that is deleted before, beside the demo client
		user, other, demo bool   // alice, dave and the demo client are there afterwards
	}{
		{"a database of one's own", "/own", nil, "", false, false, false},
		{"the same, with -user", "/own", []string{"-user", "dave:y"}, "", false, true, false},
		{"the same, once more", "/own", []string{"-user", "dave:y"}, "", false, true, false},
		{"the same, with -demo", "/own", []string{"-demo"}, "", true, true, true},
		{"a new database", "/new", nil, "", true, false, true},
		{"the same, with -user", "/new", []string{"-user", "dave:y"}, "", true, true, true},
		{"the same after a deletion", "/new", nil, "alice", false, true, false},
		{"a new one with other users", "/other", []string{"-user", "dave:y"}, "", false, true, true},
		{"the same without", "/other", nil, "", false, true, true},
		{"the same after a deletion, with -user", "/other", []string{"-user", "dave:y"}, "dave", false, true, false},
	} {
		if _, err := os.Stat(strings.TrimPrefix(path, "sqlite:") + x.db); x.deleted != "" || x.db == "/own" && err != nil {
			db, err := sqlite.Open(strings.TrimPrefix(path, "sqlite:")+x.db, nil)
			must(t, err)
			must(t, db.Migrate(t.Context()))
			if x.db == "/own" {
				must(t, db.CreateUser(t.Context(), storage.User{ID: "own", Name: "carol", Active: true}))
			}
			if x.deleted != "" {
				u, err := db.UserByName(t.Context(), x.deleted)
				must(t, err)
				must(t, errors.Join(db.DeleteUser(t.Context(), u.ID), db.DeleteClient(t.Context(), demoClient)))
			}
			must(t, db.Close())
		}
		cfg, err := parseFlags(append([]string{"-db", path + x.db}, x.args...))
		must(t, err)
		cfg.FailureFloor = time.Nanosecond
		demotest.Weaken(t, &cfg.Flags)
		db, ring, cleanup, err := cfg.Open(t.Context())
		must(t, err)
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

// The demo client serves the audience of the server that runs; another secret makes it a client of
// somebody's own, which nothing changes.
func TestDemoClientMoves_attack_343(t *testing.T) {
	path, audience := "sqlite:"+t.TempDir()+"/db", ""
	for _, x := range []struct {
		base  string
		own   bool // the secret was changed before
		serve string
	}{{"http://127.0.0.1:1", false, "http://127.0.0.1:1"}, {"http://127.0.0.1:2", false, "http://127.0.0.1:2"}, {"http://127.0.0.1:3", true, "http://127.0.0.1:2"}} {
		cfg, err := parseFlags([]string{"-db", path})
		must(t, err)
		demotest.Weaken(t, &cfg.Flags)
		db, ring, cleanup, err := cfg.Open(t.Context())
		must(t, err)
		if cfg.Base = x.base; x.own {
			c, err := db.ClientByID(t.Context(), demoClient)
			must(t, err)
			c.Password = "!"
			must(t, db.UpdateClient(t.Context(), c))
		}
		_, err = newServer(t.Context(), cfg, db, ring)
		must(t, err)
		c, err := db.ClientByID(t.Context(), demoClient)
		if must(t, err); len(c.Serves) != 1 || c.Serves[0] != x.serve {
			t.Errorf("%s: serves %q after %q, want %q", x.base, c.Serves, audience, x.serve)
		}
		audience = c.Serves[0]
		cleanup()
	}
}
