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
	}, gormstore.Options{Users: &table})
}
