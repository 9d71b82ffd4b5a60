package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

// What ends at one replica over PostgreSQL ends at another that had kept it, without waiting
// for the cache.
func TestReplicas(t *testing.T) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, _ *keys.Ring) {
		if !isPostgres(flags.DB) {
			return
		}
		cfg := &config{Flags: flags, Cache: time.Hour, ListenDB: listenDB(t, flags, db)}
		here, err := keep(t.Context(), cfg, db)
		if err != nil {
			t.Fatal(err)
		}
		there, err := keep(t.Context(), cfg, db)
		if err != nil {
			t.Fatal(err)
		}
		var subject string
		var token storage.StaticToken
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
		for i := 0; ; i++ {
			subject = fmt.Sprint("id", i)
			token = storage.StaticToken{Digest: storage.DigestOf(subject), Subject: subject, Salt: []byte{1}, KeyID: "k", Created: time.Now()}
			if err := db.CreateUser(t.Context(), storage.User{ID: subject, Name: subject, Active: true}); err != nil {
				t.Fatal(err)
			}
			if err := here.PutStaticToken(t.Context(), token, storage.Digest{}); err != nil {
				t.Fatal(err)
			}
			until("kept", func() bool { return good() && there.(*cached.Store).Usage().Entries > 0 })
			if _, err := db.BumpEpoch(t.Context(), subject); err != nil { // around the cache: nobody is told
				t.Fatal(err)
			}
			if good() {
				break
			}
			if i == 9 { // once or twice the message of its creation may have come late
				t.Fatal("it was not kept")
			}
		}
		if _, err := here.BumpEpoch(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
		until("ended at the other replica", func() bool { return !good() })
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

// Messages of a revocation do not pass a transaction pooler, and another database has others. Then
// nothing is kept, and the error names the flag that mends it.
func TestListenProof(t *testing.T) {
	pooled := pgtest.Bouncer(t, storetest.URL(t)) + "&default_query_exec_mode=exec"
	db, err := byurl.Open(pooled, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for what, url := range map[string]string{"the pooler": pooled, "another database": storetest.URL(t)} {
		t.Run("edge_C01/"+what, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			var store used
			if err := hear(ctx, url, db, &store); err == nil || !strings.Contains(err.Error(), "-listen-db") {
				t.Errorf("%v, want an error that names -listen-db", err)
			}
			if store.on {
				t.Error("the cache is used")
			}
		})
	}
}

// used notes that a cache was switched on.
type used struct {
	cached.Invalidator
	on bool
}

func (u *used) FlushAll()       {}
func (u *used) Bypass(off bool) { u.on = u.on || !off }
