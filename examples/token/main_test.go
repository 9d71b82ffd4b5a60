package main

import (
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func TestContract(t *testing.T) {
	demotest.Each(t, func(t *testing.T, cfg demo.Flags, db *gormstore.Store, ring *keys.Ring) {
		h, err := server(t.Context(), db, ring, &cfg)
		if err != nil {
			t.Fatal(err)
		}
		c := demotest.NewClient(t, h)
		alice := c.Token("/api/auth-token", "alice", "wonderland-42")
		if c.Token("/api/auth-token/", "ALICE", "wonderland-42") != alice {
			t.Error("two logins, two tokens")
		}
		const profile = `{"email":"alice@example.com","username":"alice"}`
		c.Is(200, profile, "GET", "/api/profile", "", alice)
		c.Is(200, profile, "GET", "/api/profile/", "", alice)
		c.Is(401, `{"detail":"Authentication credentials were not provided."}`, "GET", "/api/profile", "")
		c.Is(204, "", "POST", "/api/logout", "", alice)
		c.Is(401, `{"detail":"Invalid token."}`, "GET", "/api/profile", "", alice)
		if c.Token("/api/auth-token", "alice", "wonderland-42") == alice {
			t.Error("the same token after a logout")
		}
		// A second start on the same database keeps users and tokens.
		again := c.Token("/api/auth-token", "bob", "bob-the-builder-42")
		h, err = server(t.Context(), db, ring, &cfg)
		if err != nil {
			t.Fatal(err)
		}
		demotest.NewClient(t, h).Is(200, "*", "GET", "/api/profile", "", again)
	}, gormstore.Options{})
}
