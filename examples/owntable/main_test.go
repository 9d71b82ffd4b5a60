package main

import (
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
