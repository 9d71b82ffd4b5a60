package main

import (
	"context"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// What ends at one replica over PostgreSQL, or by a program without a cache, ends at another that had
// kept it, without waiting for the cache. Through a pooler the messages need -listen-db or the outbox.
func TestReplicas(t *testing.T) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, _ *keys.Ring) {
		if !isPostgres(flags.DB) {
			return
		}
		for _, courier := range []string{gormstore.CourierNotify, gormstore.CourierOutbox} {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			cfg := &config{Flags: flags, Cache: time.Hour, Courier: courier}
			if courier == gormstore.CourierNotify {
				cfg.ListenDB = listenDB(t, flags, db)
			}
			if err := db.SetCourier(ctx, gormstore.CourierNone); err != nil {
				t.Fatal(err)
			}
			var both []*cached.Store
			for range 2 {
				s, err := keep(ctx, cfg, db)
				if err != nil {
					t.Fatal(err)
				}
				both = append(both, s)
			}
			here, there := both[0], both[1]
			// until polls for what another connection brings, each time after a round trip.
			until := func(what string, done func() bool) {
				t.Helper()
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				for !done() {
					if err := db.Ping(ctx); err != nil {
						t.Fatalf("%s: never %s: %v", courier, what, err)
					}
				}
			}
			for by, ends := range map[string]storage.Subjects{"replica": here, "command": db} {
				subject := courier + " " + by
				token := storage.StaticToken{Digest: storage.DigestOf(subject), Subject: subject, Salt: []byte{1}, KeyID: "k", Created: time.Now()}
				if err := db.CreateUser(ctx, storage.User{ID: subject, Name: subject, Active: true}); err != nil {
					t.Fatal(err)
				}
				if err := here.PutStaticToken(ctx, token, storage.Digest{}); err != nil {
					t.Fatal(err)
				}
				good := func() bool {
					found, u, err := there.StaticTokenByDigest(ctx, token.Digest)
					if err != nil {
						t.Fatal(err)
					}
					return u.Epoch == found.Epoch
				}
				until("kept", func() bool { return good() && there.Freshness().Lease && there.Usage().Entries > 0 })
				if _, err := ends.BumpEpoch(ctx, subject); err != nil {
					t.Fatal(err)
				}
				revoked := time.Now()
				until("ended at the other replica", func() bool {
					began := time.Now()
					good := good()
					if late := began.Sub(revoked); good && late > bus.Bound {
						t.Fatalf("%s: accepted %v later", courier, late)
					}
					return !good
				})
			}
			stop()
			for here.Freshness().Lease || there.Freshness().Lease {
				if err := db.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}, gormstore.Options{})
}

// listenDB returns the URL of the database behind a pooler, and "" where there is none.
func listenDB(t *testing.T, flags demo.Flags, db *gormstore.Store) string {
	t.Helper()
	if !strings.Contains(flags.DB, "default_query_exec_mode") {
		return ""
	}
	u, err := url.Parse(os.Getenv("VESTIBULE_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	var name string
	if err := db.DB(t.Context()).Raw("SELECT current_database()").Row().Scan(&name); err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
