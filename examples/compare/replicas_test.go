package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// What ends at one replica over PostgreSQL ends at another that had kept it, without waiting
// for the cache.
func TestReplicas(t *testing.T) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, _ *keys.Ring) {
		if !strings.HasPrefix(flags.DB, "postgres") {
			return
		}
		cfg := &config{Flags: flags, Cache: time.Hour}
		here, err := keep(t.Context(), cfg, db)
		if err != nil {
			t.Fatal(err)
		}
		there, err := keep(t.Context(), cfg, db)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.CreateUser(t.Context(), storage.User{ID: "id", Name: "carol", Active: true}); err != nil {
			t.Fatal(err)
		}
		token := storage.StaticToken{Digest: storage.DigestOf("t"), Subject: "id", Salt: []byte{1}, KeyID: "k", Created: time.Now()}
		if err := here.PutStaticToken(t.Context(), token, storage.Digest{}); err != nil {
			t.Fatal(err)
		}
		good := func() bool {
			found, u, err := there.StaticTokenByDigest(t.Context(), token.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return u.Epoch == found.Epoch
		}
		// until polls for what another connection brings, each time after a round trip.
		until := func(what string, done func() bool) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for !done() {
				if err := db.Ping(ctx); err != nil {
					t.Fatalf("never %s: %v", what, err)
				}
			}
		}
		until("kept", func() bool { return good() && there.(*cached.Store).Usage().Entries > 0 })
		if _, err := db.BumpEpoch(t.Context(), "id"); err != nil { // around the cache: nobody is told
			t.Fatal(err)
		}
		if !good() {
			t.Fatal("it was not kept")
		}
		if _, err := here.BumpEpoch(t.Context(), "id"); err != nil {
			t.Fatal(err)
		}
		until("ended at the other replica", func() bool { return !good() })
	}, gormstore.Options{})
}
