package main

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

func TestServer(t *testing.T) {
	demotest.Each(t, func(t *testing.T, cfg demo.Flags, db *gormstore.Store, ring *keys.Ring) {
		h, err := server(t.Context(), db, ring, &cfg)
		if err != nil {
			t.Fatal(err)
		}
		c := demotest.NewClient(t, h)
		alice := c.Token("/api/auth-token", "alice", "wonderland-42")
		bob := c.Token("/api/auth-token", "bob", "bob-the-builder-42")
		c.Is(200, `{"email":"alice@example.com","plan":"free","username":"alice"}`, "GET", "/api/profile", "", alice)
		if err := db.DB(t.Context()).Model(&Account{}).Where("login = 'alice'").Update("banned", true).Error; err != nil {
			t.Fatal(err)
		}
		c.Is(401, `{"detail":"Invalid token."}`, "GET", "/api/profile", "", alice)
		c.Is(204, "", "DELETE", "/api/account", "", bob)
		c.Is(401, `{"detail":"Invalid token."}`, "GET", "/api/profile", "", bob)
		c.Is(401, "*", "POST", "/api/auth-token", "username=bob&password=bob-the-builder-42")
		// Account 1 of the other table is somebody else.
		staff := c.Token("/staff/auth-token", sam.Name, sam.Password)
		c.Is(200, `{"id":"1","subject":"staff:1"}`, "GET", "/staff/whoami", "", staff)
		if err := db.DB(t.Context()).Model(&Account{}).Where("login = 'alice'").Update("banned", false).Error; err != nil {
			t.Fatal(err)
		}
		alice = c.Token("/api/auth-token", "alice", "wonderland-42")
		c.Is(200, "*", "GET", "/api/profile", "", alice)
		c.Is(401, `{"detail":"Invalid token."}`, "GET", "/staff/whoami", "", alice)
		c.Is(401, `{"detail":"Invalid token."}`, "GET", "/api/profile", "", staff)
		c.Is(401, "*", "POST", "/staff/auth-token", "username=alice&password=wonderland-42")
	}, gormstore.Options{Users: &table, Space: "customers"})
}

// The accounts whose passwords everybody knows are added to tables that this run creates, not beside
// accounts of one's own in either of them, and not again when they were deleted.
func TestPublishedAccounts_attack_343(t *testing.T) {
	for own, model := range map[string]any{"": nil, "a customer": &Account{Login: "kim"}, "an employee": &Employee{Login: "kim"}} {
		t.Run(own, func(t *testing.T) {
			url := "sqlite:" + t.TempDir() + "/db"
			if model != nil {
				db, err := sqlite.Open(strings.TrimPrefix(url, "sqlite:"), nil)
				if err == nil {
					err = errors.Join(db.DB(t.Context()).AutoMigrate(model), db.DB(t.Context()).Create(model).Error, db.Close())
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			for again := range 2 {
				cfg := demo.Flags{LoginRate: "10/m"}
				cfg.Register(flag.NewFlagSet("", flag.ContinueOnError), demo.User{Name: "alice", Password: "wonderland-42"})
				mine(&cfg)
				cfg.DB = url
				demotest.Weaken(t, &cfg)
				db, ring, cleanup, err := cfg.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := server(t.Context(), db, ring, &cfg); err != nil {
					t.Fatal(err)
				}
				var accounts, staff int64
				tx := db.DB(t.Context())
				if err := errors.Join(tx.Model(&Account{}).Where("login = 'alice'").Count(&accounts).Error, tx.Model(&Employee{}).Where("login = 'sam'").Count(&staff).Error,
					tx.Exec("DELETE FROM accounts WHERE login = 'alice'").Error, tx.Exec("DELETE FROM employees WHERE login = 'sam'").Error); err != nil {
					t.Fatal(err)
				}
				want := int64(1)
				if model != nil || again == 1 {
					want = 0
				}
				if accounts != want || staff != want {
					t.Errorf("run %d: alice %d, sam %d, want %d", again, accounts, staff, want)
				}
				cleanup()
			}
		})
	}
}
