package main

import (
	"errors"
	"flag"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
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

// The accounts whose passwords everybody knows are not added to tables with accounts of one's own.
func TestPublishedAccounts_attack_343(t *testing.T) {
	for _, own := range []bool{false, true} {
		cfg := demo.Flags{LoginRate: "10/m", Options: gormstore.Options{Users: &table, Space: "customers"}}
		cfg.Register(flag.NewFlagSet("", flag.ContinueOnError), demo.User{Name: "alice", Password: "wonderland-42"})
		cfg.DB = "sqlite:" + t.TempDir() + "/db"
		demotest.Weaken(t, &cfg)
		db, ring, cleanup, err := cfg.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if own {
			if err := errors.Join(db.DB(t.Context()).AutoMigrate(&Account{}, &Employee{}), db.DB(t.Context()).Create(&Account{Login: "kim"}).Error, db.DB(t.Context()).Create(&Employee{Login: "kim"}).Error); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := server(t.Context(), db, ring, &cfg); err != nil {
			t.Fatal(err)
		}
		var accounts, staff int64
		if err := errors.Join(db.DB(t.Context()).Model(&Account{}).Where("login = 'alice'").Count(&accounts).Error, db.DB(t.Context()).Model(&Employee{}).Where("login = 'sam'").Count(&staff).Error); err != nil {
			t.Fatal(err)
		}
		if (accounts == 0) != own || (staff == 0) != own {
			t.Errorf("tables of one's own: %t, alice %d, sam %d", own, accounts, staff)
		}
		cleanup()
	}
}
